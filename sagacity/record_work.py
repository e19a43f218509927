"""What the worker does with records and automations, built from the core. Imported when a worker starts, not before:
what it brings along takes a while."""

from __future__ import annotations

import hashlib
import os
from functools import partial

import httpx
import msgspec

from domain import record_schema, source
from domain.message import Attachment, Message
from domain.source import Configuration
from eventstore.blobs import Blobs
from eventstore.envelope import Envelope
from eventstore.tasks import first_to_end
from handlers.command import Caller, CommandRequest, Directive, InvalidCommand
from models.serve.predictions import Predictions
from models.serve.serving import Predictor
from records import channels, schemas
from records.analyse.analyser import Analyser
from records.analyse.answers import read_answer
from records.analyse.domains import DomainClassifier
from records.analyse.provider import Provider
from records.automations.acting import Actions, notify
from records.automations.giving import Behalf
from records.automations.runner import Automations
from records.enrich.apertium import Apertium
from records.enrich.enricher import Enricher
from records.following import Schemas
from records.processing import Processor
from records.stages import Stages
from sagacity.providers import provider_settings
from sagacity.role_settings import ProviderAccess
from sagacity.wiring import Core

_ACTOR = "records"
_AUTOMATION = "automation"


async def run_records(core: Core, predictions: Predictions, access: ProviderAccess | None) -> None:
    """Records and automations, until cancelled. `predictions` are closed in the end."""
    blobs = Blobs(core.connection)
    await publish_builtin(core)
    async with httpx.AsyncClient() as client:
        enricher = Enricher(blobs, partial(_fetch, core, client), translator=Apertium())
        predictor = Predictor(core.store, core.aggregates, blobs, predictions)
        provider = None if access is None else Provider(provider_settings(access), client, blobs)
        analyser = Analyser(DomainClassifier(predictor), provider, blobs)
        stages = Stages(enricher, analyser, read_answer, Schemas(core.store), blobs)
        processor = Processor(core.store, core.aggregates, stages, partial(tell, core))
        actions = Actions(core.aggregates, blobs, partial(give, core), os.environ, notify)
        automations = Automations(core.store, actions, partial(report, core))
        try:
            await first_to_end(predictor.run(), processor.run(), automations.run())
        finally:
            await enricher.close()
            await predictions.close()


async def publish_builtin(core: Core) -> None:
    """The domains that Sagacity knows, where nobody has said anything about them. Raises LogUnavailable."""
    behalf = Behalf(_AUTOMATION)
    for schema in schemas.builtin():
        known = (await core.aggregates.load(record_schema.record_schema, schema.name, latest=True)).state
        if isinstance(known, record_schema.Unknown):
            digest = hashlib.sha256(msgspec.json.encode(schema)).hexdigest()[:24]
            id = f"publish-{schema.name}-{digest}"
            await report(
                core, record_schema.record_schema.category, schema.name, record_schema.Publish(schema), id, behalf
            )


async def _fetch(core: Core, client: httpx.AsyncClient, message: Message, attachment: Attachment) -> bytes:
    found = (await core.aggregates.load(source.source, message.source)).state
    known = isinstance(found, source.Known)
    configuration = found.configuration if known else Configuration(message.platform, message.source)
    return await channels.fetch(client, configuration, os.environ, attachment)


async def tell(
    core: Core, category: str, id: str, command: msgspec.Struct, command_id: str, cause: Envelope
) -> str | None:
    """`records.processing.Tell`, once the core is given."""
    caller = Caller(
        actor=_ACTOR,
        correlation_id=cause.correlationid,
        causation_id=cause.id,
        tenant=cause.tenant,
        traceparent=cause.traceparent,
    )
    directive = Directive(id=command_id, category=category, stream_id=id, command=command)
    (outcome,) = await core.handler.direct([directive], caller)
    return f"{outcome.refusal}: {outcome.reason}" if outcome.outcome == "refused" else None


async def report(
    core: Core, category: str, id: str, command: msgspec.Struct, command_id: str, behalf: Behalf
) -> str | None:
    """`records.automations.runner.Report`, once the core is given."""
    directive = Directive(id=command_id, category=category, stream_id=id, command=command)
    (outcome,) = await core.handler.direct([directive], _caller(behalf))
    return f"{outcome.refusal}: {outcome.reason}" if outcome.outcome == "refused" else None


async def give(
    core: Core, type: str, stream_id: str | None, data: bytes, command_id: str, behalf: Behalf
) -> str | None:
    """`records.automations.acting.Give` likewise."""
    request = CommandRequest(type=type, data=data, id=command_id, stream_id=stream_id)
    try:
        outcome = await core.handler.handle(request, _caller(behalf))
    except InvalidCommand as invalid:
        return str(invalid)
    return f"{outcome.refusal}: {outcome.reason}" if outcome.outcome == "refused" else None


def _caller(behalf: Behalf) -> Caller:
    return Caller(
        actor=behalf.actor,
        correlation_id=behalf.correlation_id,
        causation_id=behalf.causation_id,
        tenant=behalf.tenant,
        traceparent=behalf.traceparent,
    )
