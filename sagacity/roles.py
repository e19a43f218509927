"""The roles of the platform, any set of them in one process: api, projector, saga and worker."""

from __future__ import annotations

import asyncio
import gc
import logging
import signal
from collections.abc import AsyncGenerator, Coroutine
from contextlib import asynccontextmanager
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any, Final

import asyncpg
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, ParentBased

from api.app import asgi
from api.live import Live
from api.requests import command_answers
from api.services import Services
from api.serving import FAREWELL, serve
from eventstore.blobs import Blobs
from eventstore.tasks import end_tasks
from handlers.inbound import Inbox, publish, run_inbound
from handlers.inbound_messages import InboundMessages
from handlers.requests import answer_requests
from models.serve.predictions import Predictions, create_predictions
from models.serve.serving import Predictor
from projections.queries import ReadModels
from projections.read_models import READ_MODELS
from projections.runner import ProjectionRunner
from sagacity.release_logs import LogsOfReleases
from sagacity.role_settings import RoleSettings
from sagacity.room import watch_room
from sagacity.wiring import Core, observer, open_core, saga_runner, targets
from sagas.rollout import RetryPolicy, TargetOf
from sagas.targets.process import ProcessTarget
from skills.skill import Places

log = logging.getLogger(__name__)

_STAND_BY: Final = 5.0
"""Seconds until a projector without tables counts as ready too: it stands by, or waits for PostgreSQL."""


async def run_roles(settings: RoleSettings) -> None:
    """Until SIGTERM or SIGINT. Raises what opening the log raises."""
    logging.basicConfig(level=settings.log_level, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    logging.getLogger("httpx").setLevel(logging.WARNING)  # it tells of every request, also at every look at a canary
    # Every event carries its trace; spans are recorded only within traces that somebody else records.
    trace.set_tracer_provider(TracerProvider(sampler=ParentBased(ALWAYS_OFF)))
    calm_the_collector()
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with open_core(settings.nats_url) as core:
        work, ready = _work(settings, core, stop)
        running = [asyncio.create_task(each) for each in work]
        announcing = asyncio.create_task(_announce(settings, ready))
        stopping = asyncio.create_task(stop.wait())
        done, _ = await asyncio.wait({stopping, *running}, return_when=asyncio.FIRST_COMPLETED)
        stop.set()
        if "api" in settings.roles:
            await asyncio.wait(running[:1], timeout=FAREWELL + 1)  # it ends by itself, after what is under way
        await end_tasks(announcing, *running)
        for task in done - {stopping}:
            task.result()


def calm_the_collector() -> None:
    """Full collections over caches of live objects stopped the loop for 0.15 s, several times a second under load."""
    gc.freeze()
    gc.set_threshold(50_000, 20, 100)


async def _announce(settings: RoleSettings, ready: list[Coroutine[Any, Any, Any]]) -> None:
    """That the api listens is for others to see; what the rest says of itself is told by the file."""
    await asyncio.gather(*ready)
    if settings.ready_file:
        Path(settings.ready_file).touch()


def _work(
    settings: RoleSettings, core: Core, stop: asyncio.Event
) -> tuple[list[Coroutine[Any, Any, None]], list[Coroutine[Any, Any, Any]]]:
    """(what runs, what ends when it is ready)"""
    target_of = targets(Path(settings.process_host))
    work: list[Coroutine[Any, Any, None]] = []
    ready: list[Coroutine[Any, Any, Any]] = []
    if "api" in settings.roles:
        work.append(_api(settings, core, target_of, stop))
    if "projector" in settings.roles:
        projector = ProjectionRunner(core.store, settings.database_url, READ_MODELS)
        work.append(projector.run())
        ready.append(asyncio.wait({asyncio.ensure_future(projector.ready.wait())}, timeout=_STAND_BY))
    if "saga" in settings.roles:
        retries = RetryPolicy(settings.retry_attempts, settings.retry_first, settings.retry_longest)
        sagas = saga_runner(core, target_of, retries)
        work.append(sagas.run())
        ready.append(sagas.ready.wait())
        listening = asyncio.Event()
        work.append(_work_on_workflows(settings, core, listening))
        ready.append(listening.wait())
    if "worker" in settings.roles:
        work.append(run_inbound(settings.nats_url, _inbox(core), core.store))
        work.append(_observe(settings, core))
        work.append(_work_on_records(settings, core))
    if settings.log_home:
        work.append(watch_room(core.store, Path(settings.log_home)))
    return work, ready


def _inbox(core: Core) -> Inbox:
    return Inbox(core.handler, InboundMessages(core.aggregates, Blobs(core.connection), core.handler))


async def _observe(settings: RoleSettings, core: Core) -> None:
    await (await observer(core, settings.observed_days * 86_400)).run()


async def _work_on_records(settings: RoleSettings, core: Core) -> None:
    record_work = await asyncio.to_thread(import_module, "sagacity.record_work")
    await record_work.run_records(core, await _predictions(settings, core), settings.provider)


async def _work_on_workflows(settings: RoleSettings, core: Core, listening: asyncio.Event) -> None:
    skill_work = await asyncio.to_thread(import_module, "sagacity.skill_work")
    places = Places(settings.skill_paths, (settings.data,) if settings.data else ())
    await skill_work.run_workflows(core, await _predictions(settings, core), settings.provider, places, listening)


async def _api(settings: RoleSettings, core: Core, target_of: TargetOf, stop: asyncio.Event) -> None:
    async with _services(settings, core, target_of) as services:
        answers = asyncio.create_task(answer_requests(core.connection, command_answers(core.handler)))
        try:
            await serve(asgi(services), settings.host, settings.port, stop)
        finally:
            await end_tasks(answers)


@asynccontextmanager
async def _services(settings: RoleSettings, core: Core, target_of: TargetOf) -> AsyncGenerator[Services]:
    # Without connections to begin with: commands need none, and queries say 503 while PostgreSQL is away.
    pool = await asyncpg.create_pool(settings.database_url, min_size=0, max_size=10, timeout=5, command_timeout=30)
    models, live = ReadModels(pool, core.store, READ_MODELS), Live(core.store)
    blobs, predictions = Blobs(core.connection), await _predictions(settings, core)
    predictor = Predictor(core.store, core.aggregates, blobs, predictions)
    background = [asyncio.create_task(each) for each in (models.listen(), live.run(), predictor.run())]
    logs = LogsOfReleases(core.store, target_of)
    try:
        publish_here = partial(publish, core.connection)
        running = ProcessTarget(Path(settings.process_host)).inventory if "saga" in settings.roles else None
        yield Services(core.store, core.handler, models, pool, live, logs, publish_here, blobs, predictor, running)
    finally:
        await end_tasks(*background)
        await predictions.close()
        pool.terminate()


async def _predictions(settings: RoleSettings, core: Core) -> Predictions:
    """Their stream has as many copies as the log, and the limits that are set now."""
    replicas = (await core.store.state()).replicas
    max_age, max_bytes = settings.prediction_days * 86_400, settings.prediction_bytes
    await create_predictions(core.connection, replicas=replicas, max_age=max_age, max_bytes=max_bytes)
    return Predictions(core.connection)
