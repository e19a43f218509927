"""A log of its own for a test, on servers that tests share, and the events written to it."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime

import msgspec

from eventstore.catalogue import Catalogue
from eventstore.connection import Connection, connect_to
from eventstore.envelope import Context, Recorded, StreamId
from eventstore.store import EventStore
from eventstore.streams import LogLocation, ask, create_log, protected
from tests.eventstore.servers import Servers


class Noted(msgspec.Struct, frozen=True, tag="test.noted"):
    text: str


class Counted(msgspec.Struct, frozen=True, tag="test.counted"):
    number: int


CATALOGUE = Catalogue([Noted | Counted])
NOON = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
CONTEXT = Context(time=NOON, actor="ada", correlation_id="c-1", causation_id="b-1", tenant="t", traceparent="00-1-2-01")


def stream(id: str, category: str = "thing") -> StreamId:
    return StreamId(category, id)


class Log:
    """Opens stores on one log, each with a connection of its own, as processes of their own would."""

    def __init__(self, servers: Servers, location: LogLocation) -> None:
        self.servers = servers
        self.location = location
        self._opened: list[tuple[Connection, EventStore]] = []

    async def store(self, *, catalogue: Catalogue = CATALOGUE, url: str = "") -> EventStore:
        connection = await connect_to(url or self.servers.url)
        store = await EventStore.open(connection, catalogue, self.location)
        self._opened.append((connection, store))
        return store

    async def close(self) -> None:
        for connection, store in self._opened:
            await store.close()
            await connection.close()


@asynccontextmanager
async def fresh_log(servers: Servers) -> AsyncGenerator[Log]:
    name = uuid.uuid4().hex[:12]
    location = LogLocation(stream=f"LOG-{name}", prefix=f"evt{name}")
    await servers.ready()
    connection = await connect_to(servers.url)
    await create_log(connection, location, replicas=servers.replicas)
    if servers.replicas > 1:
        await _let_followers_answer(connection, location)
    log = Log(servers, location)
    try:
        yield log
    finally:
        await log.close()
        await servers.ready()
        await ask(connection, f"STREAM.DELETE.{location.stream}")
        await connection.close()


async def _let_followers_answer(connection: Connection, location: LogLocation) -> None:
    """Followers begin to answer reads, with their slightly old view, ten seconds after a stream's creation; at once
    when direct access is switched on."""
    config = {"name": location.stream, "num_replicas": 3, **protected(location)}
    for allowed in (False, True):
        answer = await ask(connection, f"STREAM.UPDATE.{location.stream}", {**config, "allow_direct": allowed})
        assert "error" not in answer


async def everything(store: EventStore) -> list[Recorded]:
    """The whole log, page by page, also when a page comes from a follower that does not know the end yet."""
    events: list[Recorded] = []
    last = (await store.state()).last
    async with asyncio.timeout(10):
        while len(events) < last:
            events += await store.read(events[-1].position if events else 0, 500)
    return events


def numbers(store: EventStore, events: list[Recorded]) -> list[int]:
    return [store.decode(event).number for event in events]


async def until(condition: Callable[[], Awaitable[bool] | bool], seconds: float = 20.0) -> None:
    """Wait for a condition. Raises TimeoutError."""
    async with asyncio.timeout(seconds):
        while True:
            met = condition()
            if met if isinstance(met, bool) else await met:
                return
            await asyncio.sleep(0.01)
