"""What the saga role does of workflows: the engine, with the skills that come along in the same process."""

from __future__ import annotations

import asyncio

from eventstore.tasks import first_to_end
from models.serve.predictions import Predictions
from sagacity.builtin_skills import builtin_skills
from sagacity.role_settings import ProviderAccess
from sagacity.wiring import Core
from sagacity.workflow_work import engine_name, register_skills, workflow_engine
from skills.offering import Offering
from skills.skill import Places


async def run_workflows(
    core: Core, predictions: Predictions, access: ProviderAccess | None, places: Places, listening: asyncio.Event
) -> None:
    """Until cancelled. `listening` is set when runs are heard of; what skills read is within `places`. `predictions`
    are closed in the end."""
    async with builtin_skills(core, predictions, access) as skills:
        await register_skills(core, skills)
        offering = Offering(skills, engine_name())
        engine = workflow_engine(core, skills, places=places, offering=offering)

        async def announce() -> None:
            await engine.ready()
            listening.set()
            await offering.announce(core.connection)

        await first_to_end(engine.run(), announce())
