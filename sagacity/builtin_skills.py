"""The skills that come along, with what they need of the platform."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import httpx

from eventstore.blobs import Blobs
from eventstore.tasks import end_tasks
from models.serve.predictions import Predictions
from models.serve.serving import Predictor
from records.analyse.domains import DomainClassifier
from records.analyse.provider import Provider
from records.enrich.limits import Limits
from records.enrich.processes import ReadingProcesses
from sagacity.platform_commands import LogCommands
from sagacity.providers import provider_settings
from sagacity.role_settings import ProviderAccess
from sagacity.wiring import Core
from skills.language import language_skills
from skills.language.model import LanguageModel
from skills.offline import offline_skills
from skills.offline.platform import platform_skills
from skills.offline.predict import predict_skill
from skills.skill import Skill

_READERS = 1
"""Processes that read documents: their memory is bounded, and there may be many of these beside each other."""


@asynccontextmanager
async def builtin_skills(
    core: Core, predictions: Predictions, access: ProviderAccess | None
) -> AsyncGenerator[tuple[Skill[Any, Any], ...]]:
    """For as long as it is entered. `predictions` are closed in the end."""
    blobs = Blobs(core.connection)
    predictor = Predictor(core.store, core.aggregates, blobs, predictions)
    following = asyncio.create_task(predictor.run())
    readers = ReadingProcesses(_READERS, Limits())
    try:
        async with httpx.AsyncClient() as client:
            model = None if access is None else LanguageModel(Provider(provider_settings(access), client, blobs))
            yield (
                *offline_skills(DomainClassifier(predictor), readers, blobs.get),
                *platform_skills(LogCommands(core)),
                predict_skill(predictor),
                *language_skills(model),
            )
    finally:
        await end_tasks(following)
        await readers.close()
        await predictions.close()
