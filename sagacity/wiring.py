"""The one place that builds everything. Nothing connects to anything when it is imported."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import msgspec

from domain import environment
from domain.circuit import Circuit
from domain.contexts import DECIDERS, EVENTS
from eventstore.aggregates import Aggregates
from eventstore.blobs import Blobs, create_blobs
from eventstore.catalogue import Catalogue
from eventstore.connection import Connection, connect_to
from eventstore.envelope import Context
from eventstore.store import EventStore, StreamWrite
from handlers.command import Caller, Directive
from handlers.command_handler import CommandHandler
from handlers.routes import routes_of
from models.serve.predictions import Predictions
from records.channels import send
from sagas.definition import SagaDefinition, Told
from sagas.follow_up_steps import follow_up_saga
from sagas.instance import Refusals, Tell
from sagas.prometheus import PrometheusReader
from sagas.rollout import RetryPolicy, TargetOf, deployment_saga
from sagas.runner import SagaRunner
from sagas.targets.port import Target, TargetRefused
from sagas.targets.process import ProcessTarget
from sagas.training_steps import retraining_saga

if TYPE_CHECKING:
    from models.observe.observer import Observer


def catalogue() -> Catalogue:
    return Catalogue(EVENTS)


@dataclass(frozen=True)
class Core:
    """What every role works with."""

    connection: Connection
    store: EventStore
    aggregates: Aggregates
    handler: CommandHandler


@asynccontextmanager
async def open_core(nats_url: str, *, name: str = "sagacity") -> AsyncGenerator[Core]:
    """Raises LogMissing when `initialise` was never called on this server, and what `connect_to` raises."""
    connection = await connect_to(nats_url, name=name)
    try:
        store = await EventStore.open(connection, catalogue())
        aggregates = Aggregates(store)
        try:
            yield Core(connection, store, aggregates, CommandHandler(store, aggregates, routes_of(DECIDERS)))
        finally:
            await aggregates.close()
            await store.close()
    finally:
        await connection.close()


def saga_runner(core: Core, target_of: TargetOf, retries: RetryPolicy, *, ack_wait: float = 5.0) -> SagaRunner:
    tell = teller(core.handler, core.store)
    return SagaRunner(core.store, tell, saga_definitions(core, target_of, retries), ack_wait=ack_wait)


def saga_definitions(core: Core, target_of: TargetOf, retries: RetryPolicy) -> Sequence[SagaDefinition]:
    async def circuit_of(environment_id: str, target: str) -> Circuit | None:
        loaded = await core.aggregates.load(environment.environment, environment_id, latest=True)
        known = loaded.state
        return known.circuits.get(target) if isinstance(known, environment.Known) else None

    return [
        deployment_saga(target_of, circuit_of, PrometheusReader(), retries),
        retraining_saga(core.store, core.aggregates, Blobs(core.connection), retries),
        follow_up_saga(core.store, core.aggregates, send, httpx.AsyncClient(), os.environ, retries),
    ]


async def observer(core: Core, observed_for: float) -> Observer:
    """Of all models in use; what it finds out are commands of its own. `observed_for`: seconds for which the rows are
    kept from now on. Raises LogUnavailable."""
    await create_blobs(core.connection, replicas=(await core.store.state()).replicas, observed_for=observed_for)
    # With the libraries of drift, which take seconds to import: meanwhile the process answers.
    observing = await asyncio.to_thread(import_module, "models.observe.observer")

    async def report(category: str, id: str, command: msgspec.Struct, command_id: str) -> str | None:
        directive = Directive(id=command_id, category=category, stream_id=id, command=command)
        [outcome] = await core.handler.direct([directive], Caller(actor="observer"))
        return outcome.refusal

    predictions = Predictions(core.connection)
    return observing.Observer(core.store, core.aggregates, Blobs(core.connection), predictions, report)


def targets(process_host: Path) -> TargetOf:
    """The implementations of the target port by kind: here further kinds are added."""
    implementations: dict[str, Callable[[environment.Settings], Target]] = {
        "process": partial(_process_target, process_host)
    }
    opened: dict[bytes, Target] = {}

    def target_of(target: environment.Target) -> Target:
        if target.kind not in implementations:
            raise TargetRefused([f"there is no target kind {target.kind!r}; known: {', '.join(implementations)}"])
        # Two targets with the same kind and settings are the same place, whatever they are called.
        place = msgspec.json.encode((target.kind, target.settings), order="sorted")
        if place not in opened:
            opened[place] = implementations[target.kind](target.settings)
        return opened[place]

    return target_of


def _process_target(own: Path, settings: environment.Settings) -> Target:
    """`host` is the data directory of another process host than the platform's own.

    Raises TargetRefused: what nobody reads must not be taken for granted.
    """
    unknown = sorted(set(settings) - {"host"})
    faults = [f"a process target has no setting {name!r}" for name in unknown]
    host = Path(settings.get("host", own))
    if not host.is_absolute() and "host" in settings:
        faults.append("the setting 'host' of a process target is no absolute path")
    if faults:
        raise TargetRefused(faults)
    return ProcessTarget(host)


def teller(handler: CommandHandler, store: EventStore) -> Tell:
    async def tell(commands: Sequence[Told], ids: Sequence[str], also: StreamWrite, context: Context) -> None:
        if not commands:
            await store.append_all([also], context)
            return
        directives = [
            Directive(id=id, category=told.category, stream_id=told.id, command=told.command)
            for id, told in zip(ids, commands, strict=True)
        ]
        caller = Caller(
            actor=context.actor,
            correlation_id=context.correlation_id,
            causation_id=context.causation_id,
            tenant=context.tenant,
            traceparent=context.traceparent,
        )
        outcomes = await handler.direct(directives, caller, also=[also] if also.events else [])
        for outcome in outcomes:
            if outcome.outcome == "refused":
                raise Refusals(outcome.refusal or "refused", outcome.reason or "")

    return tell
