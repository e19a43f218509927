"""Every kind of damage is found, and every fault is named."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence

import pytest
import pytest_asyncio

from eventstore.catalogue import Catalogue
from eventstore.envelope import Recorded
from eventstore.store import EventStore, StreamWrite
from eventstore.streams import LogLocation, ask, create_log, protected
from eventstore.subjects import event_subject
from eventstore.verification import Anchor, Progress, verify, verify_stream
from tests.eventstore.log import CATALOGUE, CONTEXT, Counted, Log, Noted, everything, stream

Damage = Callable[[list[tuple[str, bytes]]], None]
"""Changes (subject, document) pairs in place."""


class Copies:
    """Writes copies of a good log, damaged, into logs of their own."""

    def __init__(self, store: EventStore, original: Sequence[Recorded]) -> None:
        self._store = store
        self._original = original
        self._made: list[str] = []

    async def damaged(self, damage: Damage) -> EventStore:
        name = f"{self._store.location.stream}-{len(self._made)}"
        location = LogLocation(name, f"{self._store.location.prefix}x{len(self._made)}")
        documents = [(event_subject(location, event.stream, event.version), event.raw) for event in self._original]
        damage(documents)
        await create_log(self._store.connection, location)
        self._made.append(name)
        for subject, document in documents:
            answer = await self._store.connection.request(subject, document)
            assert b"error" not in answer.data
        return await EventStore.open(self._store.connection, CATALOGUE, location)

    async def remove(self) -> None:
        for name in self._made:
            await ask(self._store.connection, f"STREAM.DELETE.{name}")


@pytest_asyncio.fixture
async def good(log: Log) -> EventStore:
    """a: 1 2 3 4 at positions 1 2 4 6; b: 1 2 3 at 3 5 7."""
    store = await log.store()
    await store.append(stream("a"), 0, [Noted("one"), Noted("two")], CONTEXT)
    for version in range(3):
        await store.append(stream("b"), version, [Counted(version)], CONTEXT)
        if version < 2:
            await store.append(stream("a"), 2 + version, [Noted(f"more {version}")], CONTEXT)
    return store


@pytest_asyncio.fixture
async def copies(good: EventStore) -> AsyncIterator[Copies]:
    copies = Copies(good, await everything(good))
    yield copies
    await copies.remove()


async def test_a_good_log_has_no_faults(good: EventStore) -> None:
    """The result is an anchor for the next time; progress is told page by page."""
    progress: list[Progress] = []

    verified = await verify(good, on_progress=progress.append)

    assert (verified.events, verified.streams, verified.last, verified.faults) == (7, 2, 7, ())
    assert verified.hash == (await everything(good))[-1].hash
    assert progress == [Progress(7, 7, 0)]
    assert (await verify(good, anchors=[Anchor(verified.last, verified.hash)])).faults == ()
    assert await verify_stream(good, stream("a")) == ()


async def test_a_good_log_of_many_pages(log: Log) -> None:
    store = await log.store()
    for start in range(0, 5_000, 500):
        writes = [StreamWrite(stream(f"{id}"), start // 5, [Counted(1)] * 100) for id in range(5)]
        await store.append_all(writes, CONTEXT)
    progress: list[Progress] = []

    verified = await verify(store, on_progress=progress.append)

    assert (verified.events, verified.streams, verified.faults) == (5_000, 5, ())
    assert [each.position for each in progress] == [2_000, 4_000, 5_000]


async def test_an_empty_log_has_no_faults(log: Log) -> None:
    verified = await verify(await log.store())
    assert (verified.events, verified.last, verified.faults) == (0, 0, ())


@pytest.mark.parametrize("position", range(1, 8))
async def test_one_changed_byte_is_found(copies: Copies, good: EventStore, position: int) -> None:
    """Anywhere in the log: by the next event of its stream, or for the last of a stream by whoever remembers it."""
    anchors = [Anchor(event.position, event.hash) for event in await everything(good)]

    def change(documents: list[tuple[str, bytes]]) -> None:
        subject, document = documents[position - 1]
        documents[position - 1] = (subject, document.replace(b'"ada"', b'"adb"'))

    damaged = await copies.damaged(change)

    following = {1: 2, 2: 4, 3: 5, 4: 6, 5: 7}.get(position)
    faults = (await verify(damaged)).faults
    assert [(fault.kind, fault.position) for fault in faults] == ([("chain", following)] if following else [])
    anchored = (await verify(damaged, anchors=anchors)).faults
    assert ("changed", position) in [(fault.kind, fault.position) for fault in anchored]


async def test_a_missing_event_is_found(good: EventStore, copies: Copies) -> None:
    """In the copy without it the stream lacks a version."""
    damaged = await copies.damaged(lambda documents: documents.__delitem__(3))

    [fault] = (await verify(damaged)).faults
    assert (fault.kind, fault.position, fault.stream) == ("version", 5, "thing/a")
    assert fault.text == "thing/a goes from version 2 to 4"
    assert await verify_stream(damaged, stream("a")) == (fault,)
    assert await verify_stream(damaged, stream("b")) == ()


async def test_missing_positions_are_found(log: Log) -> None:
    """A server that lost events, at the beginning, in the middle and at the end, shows every hole."""
    store = await log.store()
    location = LogLocation(f"{log.location.stream}-holes", f"{log.location.prefix}holes")
    config = {"name": location.stream, **protected(location), "deny_delete": False}
    await ask(store.connection, f"STREAM.CREATE.{location.stream}", config)
    for n in range(9):
        event = (await store.append(stream(f"{n}"), 0, [Counted(n)], CONTEXT)).events[0]
        await store.connection.request(event_subject(location, event.stream, 1), event.raw)
    for position in (1, 4, 5, 9):
        await ask(store.connection, f"STREAM.MSG.DELETE.{location.stream}", {"seq": position})
    await ask(store.connection, f"STREAM.UPDATE.{location.stream}", {**config, "deny_delete": True})

    holes = await EventStore.open(store.connection, CATALOGUE, location)
    verified = await verify(holes, anchors=[Anchor(12, "0" * 64)])

    assert [(fault.kind, fault.position, fault.text) for fault in verified.faults] == [
        ("position", 1, "position 1 is missing"),
        ("position", 4, "positions 4 to 5 are missing"),
        ("position", 9, "position 9 is missing"),
        ("shortened", 12, "the log ends at position 9; it reached 12 before"),
    ]
    await ask(store.connection, f"STREAM.DELETE.{location.stream}")


async def test_a_shortened_log_is_found(good: EventStore, copies: Copies) -> None:
    """A log that ends too early is sound in itself: only who remembers its end can tell."""
    whole = await verify(good)
    damaged = await copies.damaged(lambda documents: documents.__delitem__(slice(5, None)))

    assert (await verify(damaged)).faults == ()
    [fault] = (await verify(damaged, anchors=[Anchor(whole.last, whole.hash)])).faults
    assert (fault.kind, fault.text) == ("shortened", "the log ends at position 5; it reached 7 before")


async def test_every_fault_is_named(copies: Copies) -> None:
    """No document, an unknown type, unreadable data, a wrong name and a broken chain in one log."""

    def change(documents: list[tuple[str, bytes]]) -> None:
        documents[0] = (documents[0][0], documents[0][1].replace(b'"test.noted","time"', b'"test.burnt","time"'))
        documents[2] = (documents[2][0], b"\xff not json")
        documents[3] = (documents[3][0], documents[3][1].replace(b'"more 0"', b"12345678"))
        documents[6] = (documents[6][0] + "0", documents[6][1])

    damaged = await copies.damaged(change)
    faults = (await verify(damaged)).faults

    assert [(fault.kind, fault.position) for fault in faults] == [
        ("data", 1),
        ("chain", 2),
        ("document", 3),
        ("data", 4),
        ("version", 5),
        ("chain", 6),
        ("subject", 7),
    ]
    assert all(fault.text for fault in faults)


async def test_events_of_types_this_program_does_not_know(good: EventStore) -> None:
    """A program without one of the types says which events it cannot read."""
    narrow = await EventStore.open(good.connection, Catalogue([Counted]), good.location)

    faults = (await verify(narrow)).faults

    assert [(fault.kind, fault.position) for fault in faults] == [("data", n) for n in (1, 2, 4, 6)]
