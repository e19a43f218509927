"""(c) Projection catch-up: every read model from the beginning of the log, beside the raw consumer and the library."""

from __future__ import annotations

import asyncio
import time
import uuid
from typing import Any

import asyncpg
import msgspec
import nats
from nats.js.client import JetStreamContext

from benchmarks.comparison import Contender, all_of, at_least, compare
from benchmarks.library_projection import runner_rate
from benchmarks.servers import fresh_servers
from benchmarks.things import CONTEXT
from domain import command, deployment, environment, stack
from domain.strategy import PLAIN
from eventstore.envelope import StreamId
from eventstore.store import EventStore, StreamWrite
from eventstore.tasks import end_tasks
from projections.queries import ReadModels
from projections.read_models import READ_MODELS
from projections.runner import ProjectionRunner
from sagacity.initialising import initialise_server
from sagacity.wiring import open_core

LIBRARY_EVENTS = 3_000
"""The library's runner is far slower; rates are compared."""


async def run(rounds: int, events: int) -> None:
    with fresh_servers() as servers:
        await initialise_server(servers.nats_url)
        async with open_core(servers.nats_url) as core:
            await _fill(core.store, events)
            last = (await core.store.state()).last

            async def ours() -> float:
                return await _catch_up(core.store, servers.database_url, last)

            async def raw() -> float:
                return await _raw_consumer(servers.nats_url, last)

            async def library() -> float:
                return await asyncio.to_thread(runner_rate, servers.database_url, LIBRARY_EVENTS)

            mine, limit, peer = "Sagacity, all read models", "raw ordered consumer", "eventsourcing ProjectionRunner"
            goals = all_of(at_least(0.25, limit, mine), at_least(15, peer, mine))
            await compare(
                f"(c) catch-up of {last:,} events ({LIBRARY_EVENTS:,} for the library)",
                "events/s",
                [Contender(mine, ours, goals), Contender(limit, raw), Contender(peer, library)],
                rounds,
            )


async def _fill(store: EventStore, events: int) -> None:
    """Rollouts with their commands: 20 messages each, as the saga writes them."""
    release, target = stack.ReleaseSpec("python3", ("shop.py",)), environment.Target("local")
    requested = deployment.Requested(
        "shop", "production", "1.0", "switch_over", deployment.RolloutPolicy(), release, target, None
    )
    steps: list[Any] = [requested]
    for step in PLAIN:
        steps += [deployment.StepStarted(step), deployment.StepCompleted(step, "done")]
    steps.append(deployment.Completed("1.0", "http://127.0.0.1:1"))
    reference = command.EventReference("deployment.step_started", "deployment/d", 2)

    async def one(number: int) -> None:
        writes = [StreamWrite(StreamId("deployment", f"d{number}"), 0, steps)]
        for record in range(6):
            accepted = command.Accepted(
                "deployment.start_step", f"deployment/d{number}", record, msgspec.Raw(b'{"step":"start"}'), (reference,)
            )
            writes.append(StreamWrite(StreamId("command", f"c{number}-{record}"), 0, (accepted,)))
        await store.append_all(writes, CONTEXT, timeout=60)

    for first in range(0, events // 20, 200):
        await asyncio.gather(*(one(number) for number in range(first, min(first + 200, events // 20))))


async def _catch_up(store: EventStore, url: str, last: int) -> float:
    name = f"c{uuid.uuid4().hex}"
    admin = await asyncpg.connect(url)
    await admin.execute(f"CREATE DATABASE {name}")
    pool = await asyncpg.create_pool(url.rsplit("/", 1)[0] + f"/{name}", min_size=1, max_size=2)
    runner = ProjectionRunner(store, url.rsplit("/", 1)[0] + f"/{name}", READ_MODELS)
    began = time.perf_counter()
    task = asyncio.create_task(runner.run())
    try:
        await runner.ready.wait()
        models = ReadModels(pool, store, READ_MODELS)
        for model in READ_MODELS:
            await models.wait_for(model.name, last, 300)
        rate = last / (time.perf_counter() - began)
        counted = await pool.fetchval("SELECT count(*) FROM deployments.deployments WHERE status = 'completed'")
        assert counted == last // 20, counted
        return rate
    finally:
        await end_tasks(task)
        pool.terminate()
        await admin.execute(f"DROP DATABASE {name} WITH (FORCE)")
        await admin.close()


async def _raw_consumer(url: str, last: int) -> float:
    client = await nats.connect(url)  # pyright: ignore[reportUnknownMemberType] - nats-py types it half
    done = asyncio.Event()
    count = 0

    async def count_up(_: object) -> None:
        nonlocal count
        count += 1
        if count == last:
            done.set()

    began = time.perf_counter()
    context: JetStreamContext = client.jetstream()  # pyright: ignore[reportUnknownMemberType]
    await context.subscribe("evt.>", stream="EVENTS", ordered_consumer=True, cb=count_up)
    await done.wait()
    rate = last / (time.perf_counter() - began)
    await client.close()
    return rate
