"""(e) Loading a stream of 100 events from a full store: cold from the server, hot from the cache of aggregates."""

from __future__ import annotations

import asyncio
import functools
import random
import time
from typing import Any

import msgspec
from eventsourcing.application import Application

from benchmarks.comparison import Contender, at_most, compare
from benchmarks.emmett import emmett_on
from benchmarks.library import environment
from benchmarks.library_projection import Thing
from benchmarks.servers import fresh_servers
from benchmarks.things import CONTEXT, Happened
from domain.decider import Decider
from eventstore.aggregates import Aggregates
from eventstore.catalogue import Catalogue
from eventstore.connection import connect_to
from eventstore.envelope import StreamId
from eventstore.snapshots import create_snapshots
from eventstore.store import EventStore
from eventstore.streams import LogLocation, create_log

LIBRARY_EVENTS = 50_000
LOADS = 100


class Count(msgspec.Struct, frozen=True, tag="count"):
    n: int = 0


def _evolve(state: Count, event: Happened) -> Count:
    return Count(state.n + 1)


_things: Decider[Any, Count, Happened] = Decider(
    "thing", Happened, Happened, Count, Count(), lambda _command, _state: (), _evolve
)


async def run(rounds: int, events: int) -> None:
    with fresh_servers() as servers:
        emmett = await asyncio.to_thread(emmett_on, servers.database_url)
        connection = await connect_to(servers.nats_url)
        location = LogLocation("BENCH", "bench")
        await create_log(connection, location)
        await create_snapshots(connection)
        store = await EventStore.open(connection, Catalogue([Happened]), location)
        streams = events // 100
        await _fill(store, streams)
        hot = Aggregates(store)
        app = Application[Any](environment(servers.database_url, functions=True) | {"AGGREGATE_CACHE_MAXSIZE": ""})
        if emmett:
            await emmett.fill(streams)
        ids = [await asyncio.to_thread(_library_thing, app) for _ in range(LIBRARY_EVENTS // 100)]

        async def cold() -> float:
            """A new cache each time: everything comes from the server, snapshots where writing left them."""
            took: list[float] = []
            for _ in range(LOADS):
                aggregates = Aggregates(store)
                name = f"s{random.randrange(streams)}"
                began = time.perf_counter()
                loaded = await aggregates.load(_things, name)
                took.append(time.perf_counter() - began)
                assert loaded.state.n == 100
            return sorted(took)[LOADS // 2] * 1000

        async def every_event() -> float:
            """What a snapshot spares: all hundred events, wherever in the log they are."""
            took: list[float] = []
            for _ in range(LOADS):
                name = f"s{random.randrange(streams)}"
                began = time.perf_counter()
                events = await store.load(StreamId("thing", name))
                state = _things.fold(store.decode(event) for event in events)
                took.append(time.perf_counter() - began)
                assert state.n == 100
            return sorted(took)[LOADS // 2] * 1000

        async def from_cache() -> float:
            await hot.load(_things, "s1", latest=True)
            began = time.perf_counter()
            for _ in range(LOADS):
                await hot.load(_things, "s1")
            return (time.perf_counter() - began) / LOADS * 1000

        async def library() -> float:
            def loads() -> float:
                took: list[float] = []
                for _ in range(LOADS):
                    began = time.perf_counter()
                    app.repository.get(random.choice(ids))
                    took.append(time.perf_counter() - began)
                return sorted(took)[LOADS // 2] * 1000

            return await asyncio.to_thread(loads)

        def five_times(medians: dict[str, float]) -> tuple[str, bool]:
            peers = (medians[name] for name in medians if not name.startswith("Sagacity"))
            ratio = min(peers) / medians["Sagacity, hot"]
            return f"≥ 5 × faster than any: {ratio:,.0f} ×", ratio >= 5

        contenders = [
            Contender("Sagacity, cold", cold, at_most(1.5, "Emmett", "Sagacity, cold") if emmett else None),
            Contender("Sagacity, cold, without snapshots", every_event),
            Contender("Sagacity, hot", from_cache, five_times),
            Contender("eventsourcing repository", library),
        ]
        if emmett:
            contenders += [
                Contender("Emmett", functools.partial(emmett.load_time, streams, LOADS)),
                Contender("Emmett, first load of a process", functools.partial(emmett.first_load_time, streams)),
            ]
        title = f"(e) load of 100 events, {events:,} in the store ({LIBRARY_EVENTS:,} in the library's)"
        await compare(title, "ms", contenders, rounds)
        app.close()
        await store.close()
        await connection.close()


async def _fill(store: EventStore, streams: int) -> None:
    """Ten events of each stream at a time, so that every stream is spread over the whole log; written as the
    command handler does, with the aggregates at hand."""
    aggregates = Aggregates(store, capacity=streams)

    async def ten_more(number: int, version: int) -> None:
        stream = StreamId("thing", f"s{number}")
        await aggregates.load(_things, stream.id, presumed_new=version == 0)
        events = [Happened(i) for i in range(10)]
        appended = await store.append(stream, version, events, CONTEXT, timeout=120)
        aggregates.advance(stream, appended.events)

    for version in range(0, 100, 10):
        for first in range(0, streams, 500):
            await asyncio.gather(*(ten_more(number, version) for number in range(first, min(first + 500, streams))))
    await aggregates.close()


def _library_thing(app: Application[Any]) -> Any:
    thing = Thing()
    for number in range(99):
        thing.happen(f"{number}" + "x" * 180)
    app.save(thing)
    return thing.id
