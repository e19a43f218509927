"""What no engine on JetStream can be faster than: the writes of the runs alone, each acknowledged before the next.

A run writes its start, what came of each step, and its end: five, or seven when it is compensated.
"""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from uuid import uuid4

import nats
from nats.js.client import JetStreamContext

from benchmarks.things import CONTEXT, PAYLOAD, Happened
from benchmarks.workflows_sagas import COMPENSATED, STEPS, Measured, drive, ends
from eventstore.catalogue import Catalogue
from eventstore.connection import connect_to
from eventstore.envelope import StreamId
from eventstore.store import EventStore
from eventstore.streams import LogLocation, create_log, protected


def writes_of(run: int) -> int:
    return STEPS + 2 + (STEPS - 1 if ends(run) == COMPENSATED else 0)


class RawWrites:
    """One run in flight: one write after the other. Many: the server takes turns with the writes of as many callers."""

    name = "limit: raw JetStream"

    def __init__(self, raw: JetStreamContext) -> None:
        self._raw = raw

    async def start(self, runs: int, in_flight: int) -> Measured:
        prefix = f"raw.{uuid4().hex}"

        async def once(run: int) -> str:
            for version in range(1, writes_of(run) + 1):
                await self._raw.publish(f"{prefix}.{run}.{version}", PAYLOAD, timeout=120)
            return ends(run)

        return await drive(runs, in_flight, once)


class LogWrites:
    """The same through our event store, where writes of different runs share a commit."""

    name = "limit: our log"

    def __init__(self, store: EventStore) -> None:
        self._store = store

    async def start(self, runs: int, in_flight: int) -> Measured:
        prefix = uuid4().hex

        async def once(run: int) -> str:
            stream = StreamId("thing", f"{prefix}-{run}")
            for version in range(writes_of(run)):
                await self._store.append(stream, version, [Happened(version)], CONTEXT, timeout=120)
            return ends(run)

        return await drive(runs, in_flight, once)


@asynccontextmanager
async def limits_on(nats_url: str) -> AsyncGenerator[tuple[RawWrites, LogWrites]]:
    """Both on streams of their own with the same protection."""
    connection, location = await connect_to(nats_url), LogLocation("BENCH", "bench")
    await create_log(connection, location)
    store = await EventStore.open(connection, Catalogue([Happened]), location)
    client = await nats.connect(nats_url)  # pyright: ignore[reportUnknownMemberType] - nats-py types it half
    config = {"name": "RAW", **protected(LogLocation("RAW", "raw"))}
    await client.request("$JS.API.STREAM.CREATE.RAW", json.dumps(config).encode())
    try:
        yield RawWrites(client.jetstream()), LogWrites(store)  # pyright: ignore[reportUnknownMemberType]
    finally:
        await client.close()
        await store.close()
        await connection.close()
