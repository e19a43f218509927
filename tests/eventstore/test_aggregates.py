"""Aggregates at hand, and snapshots of long ones: always the state that the whole history gives."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator
from functools import reduce
from typing import Any, NamedTuple

import msgspec
import pytest_asyncio

from eventstore.aggregates import SNAPSHOT_EVERY, Aggregates
from eventstore.envelope import StreamId
from eventstore.errors import WrongVersion
from eventstore.snapshots import Snapshot, Snapshots, create_snapshots, fingerprint_of
from eventstore.store import EventStore
from eventstore.streams import LogLocation, ask
from tests.eventstore.log import CONTEXT, Counted, Log, Noted, stream, until


class Sum(msgspec.Struct, frozen=True, tag="sum"):
    total: int = 0
    seen: tuple[str, ...] = ()


def evolve(state: Sum, event: Any) -> Sum:
    folded.append(event)
    match event:
        case Counted(number):
            return Sum(state.total + number, state.seen)
        case Noted(text):
            return Sum(state.total, (*state.seen, text))


folded: list[Any] = []
"""Every event that was folded in a test: shows what was read and what was at hand."""


class Kind(NamedTuple):
    category: str = "thing"
    initial: Sum = Sum()
    states: Any = Sum
    evolve: Any = evolve


KIND = Kind()


class Bench(NamedTuple):
    """A store with aggregates over it, and the same again as another process would have it."""

    log: Log
    snapshots: LogLocation
    store: EventStore
    aggregates: Aggregates

    async def other(self, **options: Any) -> tuple[EventStore, Aggregates]:
        store = await self.log.store()
        return store, Aggregates(store, Snapshots(store.connection, self.snapshots), **options)

    async def count(self, id: str, start: int, how_many: int) -> None:
        events = [Counted(1)] * how_many
        appended = await self.store.append(stream(id), start, events, CONTEXT)
        self.aggregates.advance(stream(id), appended.events)


@pytest_asyncio.fixture
async def bench(log: Log) -> AsyncIterator[Bench]:
    name = uuid.uuid4().hex[:12]
    location = LogLocation(f"SNAP-{name}", f"snap{name}")
    store = await log.store()
    await create_snapshots(store.connection, location)
    aggregates = Aggregates(store, Snapshots(store.connection, location))
    folded.clear()
    yield Bench(log, location, store, aggregates)
    await aggregates.close()
    await ask(store.connection, f"STREAM.DELETE.{location.stream}")


async def test_an_aggregate_without_history(bench: Bench) -> None:
    assert await bench.aggregates.load(KIND, "new") == (0, Sum())


async def test_what_was_appended_is_folded_into_what_is_at_hand(bench: Bench) -> None:
    """Load, append, advance, load: the second load reads nothing."""
    await bench.aggregates.load(KIND, "a")
    await bench.count("a", 0, 3)
    folded.clear()

    assert await bench.aggregates.load(KIND, "a") == (3, Sum(3))
    assert folded == []


async def test_what_others_append_is_seen_with_latest(bench: Bench) -> None:
    """Without it the state is short, which costs a refused append; afterwards only what is missing is read."""
    await bench.aggregates.load(KIND, "a")
    await bench.count("a", 0, 3)
    store, _ = await bench.other()
    await store.append(stream("a"), 3, [Counted(10), Noted("x")], CONTEXT)
    folded.clear()

    assert (await bench.aggregates.load(KIND, "a")).version == 3
    assert await bench.aggregates.load(KIND, "a", latest=True) == (5, Sum(13, ("x",)))
    assert folded == [Counted(10), Noted("x")]


async def test_a_lost_race_invalidates(bench: Bench) -> None:
    """After `invalidate` every load is up to date again, on every node of a cluster."""
    await bench.aggregates.load(KIND, "a")
    store, _ = await bench.other()
    await store.append(stream("a"), 0, [Counted(7)], CONTEXT)

    bench.aggregates.invalidate(stream("a"))

    assert await bench.aggregates.load(KIND, "a") == (1, Sum(7))


async def test_events_that_do_not_follow_are_not_folded(bench: Bench) -> None:
    """Late, repeated or ahead of what is at hand: the state never skips and never counts twice."""
    await bench.aggregates.load(KIND, "a")
    appends = [await bench.store.append(stream("a"), version, [Counted(1)], CONTEXT) for version in range(4)]

    for order in ([0, 0], [2], [1], [3, 3]):
        for place in order:
            bench.aggregates.advance(stream("a"), appends[place].events)

    assert await bench.aggregates.load(KIND, "a") == (4, Sum(4))
    bench.aggregates.advance(stream("a"), appends[1].events)
    assert await bench.aggregates.load(KIND, "a") == (4, Sum(4))


async def test_the_least_recently_used_makes_room(bench: Bench) -> None:
    """At most `capacity` aggregates are at hand; the others are read again."""
    _, small = await bench.other(capacity=2)
    for id in "abc":
        await bench.store.append(stream(id), 0, [Counted(1)], CONTEXT)
        await small.load(KIND, id)
    folded.clear()

    assert (await small.load(KIND, "b")).state == (await small.load(KIND, "c")).state == Sum(1)
    assert folded == []
    assert (await small.load(KIND, "a")).state == Sum(1)
    assert folded == [Counted(1)]


async def test_a_long_stream_begins_at_its_snapshot(bench: Bench) -> None:
    """Written behind the caller's back; another process folds only what came after it, to the same state."""
    await bench.aggregates.load(KIND, "a")
    for start in range(0, 1_500, 100):
        await bench.count("a", start, 100)
        await bench.aggregates.close()
    await bench.count("a", 1_500, 3)
    snapshot = await _snapshot(bench, "a")
    assert snapshot is not None
    assert 1_500 - SNAPSHOT_EVERY <= snapshot.version <= 1_500
    _, other = await bench.other()
    folded.clear()

    assert await other.load(KIND, "a") == (1_503, Sum(1_503))
    assert len(folded) == 1_503 - snapshot.version


async def test_without_a_usable_snapshot_everything_is_folded(bench: Bench) -> None:
    """None, a damaged one, one of another history, one ahead of the log, one of other rules: the state is the same."""
    for start in (0, 600):
        await bench.store.append(stream("a"), start, [Counted(1)] * 600, CONTEXT)
    fingerprint = fingerprint_of(Sum, evolve)
    events = await bench.store.load(stream("a"))
    state = msgspec.Raw(b'{"type":"sum","total":-1}')
    wrong = [
        None,
        Snapshot(600, "0" * 64, fingerprint, state),
        Snapshot(600, events[598].hash, fingerprint, state),
        Snapshot(5_000, "0" * 64, fingerprint, state),
        Snapshot(600, events[599].hash, fingerprint, msgspec.Raw(b'{"type":"other"}')),
        Snapshot(600, events[599].hash, "other rules", state),
    ]
    for snapshot in wrong:
        store, aggregates = await bench.other()
        if snapshot is not None:
            await Snapshots(store.connection, bench.snapshots).save(stream("a"), snapshot)
        assert await aggregates.load(KIND, "a") == (1_200, Sum(1_200))
        await aggregates.close()


async def test_of_many_that_are_due_at_once_every_one_gets_its_snapshot(bench: Bench) -> None:
    """A few at a time; the others wait for their turn."""
    names = [f"s{number}" for number in range(80)]

    async def write(name: str) -> None:
        await bench.aggregates.load(KIND, name, presumed_new=True)
        appended = await bench.store.append(stream(name), 0, [Counted(1)] * SNAPSHOT_EVERY, CONTEXT)
        bench.aggregates.advance(stream(name), appended.events)

    await asyncio.gather(*map(write, names))
    async with asyncio.timeout(20):
        for name in names:
            while await _snapshot(bench, name) is None:
                await asyncio.sleep(0.01)


async def test_a_full_load_leaves_a_snapshot(bench: Bench) -> None:
    """So that the next process is quicker."""
    await bench.store.append(stream("a"), 0, [Counted(1)] * 700, CONTEXT)
    _, first = await bench.other()
    await first.load(KIND, "a")
    await first.close()
    _, second = await bench.other()
    folded.clear()

    assert await second.load(KIND, "a") == (700, Sum(700))
    assert len(folded) == 0


async def test_snapshots_that_cannot_be_written_disturb_nobody(bench: Bench) -> None:
    """No snapshot stream at all: loads and appends work on."""
    store = await bench.log.store()
    aggregates = Aggregates(store, Snapshots(store.connection, LogLocation("NO-SUCH-SNAPSHOTS", "nosuchsnap")))
    await store.append(stream("a"), 0, [Counted(1)] * 500, CONTEXT)

    assert await aggregates.load(KIND, "a") == (500, Sum(500))
    await aggregates.close()
    assert await aggregates.load(KIND, "a", latest=True) == (500, Sum(500))


async def test_states_agree_with_history_while_processes_compete(bench: Bench) -> None:
    """Three processes add to three aggregates, each deciding on its own cached state; nobody's addition is lost."""
    benches = [(bench.store, bench.aggregates), await bench.other(), await bench.other()]

    async def add(store: EventStore, aggregates: Aggregates, id: str) -> None:
        done, latest = 0, False
        while done < 40:
            aggregate = await aggregates.load(KIND, id, latest=latest)
            try:
                event = Counted(aggregate.state.total + 1)
                appended = await store.append(stream(id), aggregate.version, [event], CONTEXT)
            except WrongVersion:
                aggregates.invalidate(stream(id))
                latest = True
                continue
            aggregates.advance(stream(id), appended.events)
            done, latest = done + 1, False

    await asyncio.gather(*(add(store, aggregates, id) for store, aggregates in benches for id in "abc"))

    for id in "abc":
        history = [bench.store.decode(event) for event in await bench.store.load(stream(id), latest=True)]
        assert len(history) == 120
        whole = reduce(evolve, history, Sum())
        for _, aggregates in benches:
            assert await aggregates.load(KIND, id, latest=True) == (120, whole)


async def test_creating_the_snapshot_stream_again_brings_it_up_to_date(bench: Bench) -> None:
    """It is a cache: unlike the log it is simply set right."""
    connection = bench.store.connection
    await create_snapshots(connection, bench.snapshots)
    config = (await ask(connection, f"STREAM.INFO.{bench.snapshots.stream}"))["config"]
    await ask(connection, f"STREAM.UPDATE.{bench.snapshots.stream}", {**config, "allow_direct": False})

    await create_snapshots(connection, bench.snapshots)

    config = (await ask(connection, f"STREAM.INFO.{bench.snapshots.stream}"))["config"]
    assert config["allow_direct"]


async def _snapshot(bench: Bench, id: str) -> Snapshot | None:
    snapshots = Snapshots(bench.store.connection, bench.snapshots)
    found: list[Snapshot] = []

    async def there() -> bool:
        snapshot = await snapshots.load(StreamId("thing", id), fingerprint_of(Sum, evolve))
        found[:] = [snapshot] if snapshot else []
        return bool(found)

    await until(there, 5)
    return found[0]
