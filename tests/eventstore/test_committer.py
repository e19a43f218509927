"""Group commit: who waits, who is refused, and what one caller's trouble costs the others."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import pytest

from eventstore import committer
from eventstore.committer import Committer, Message
from eventstore.connection import connect_to
from eventstore.errors import LogUnavailable, WriteTooLarge, WrongVersion
from eventstore.streams import LogLocation, ask, create_log, protected
from tests.eventstore.log import CONTEXT, Counted, Log, everything, stream
from tests.eventstore.servers import Servers


async def test_a_caller_who_leaves_before_departure_writes_nothing(log: Log) -> None:
    """Of 100 callers 50 are cancelled before anything is sent: the other 50 are stored, and only they."""
    store = await log.store()
    callers = [asyncio.create_task(store.append(stream(f"{n}"), 0, [Counted(n)], CONTEXT)) for n in range(100)]
    await asyncio.sleep(0)
    for caller in callers[::2]:
        caller.cancel()

    await asyncio.gather(*callers, return_exceptions=True)

    stored = {store.decode(event).number for event in await everything(store)}
    assert stored == set(range(1, 100, 2))


async def test_a_caller_who_leaves_during_the_flight_harms_nobody(log: Log) -> None:
    """Whatever becomes of the cancelled writes, every other one is acknowledged at its right position."""
    store = await log.store()
    for round_ in range(20):
        callers = [
            asyncio.create_task(store.append(stream(f"{round_}-{n}"), 0, [Counted(n)], CONTEXT)) for n in range(100)
        ]
        await asyncio.sleep(round_ * 0.0002)
        for caller in callers[::3]:
            caller.cancel()
        outcomes = await asyncio.gather(*callers, return_exceptions=True)
        stored = {event.stream: event.position for event in await everything(store)}
        for n, outcome in enumerate(outcomes):
            if n % 3:
                assert not isinstance(outcome, BaseException)
                assert stored[stream(f"{round_}-{n}")] == outcome.position


async def test_a_cancelled_append_can_be_followed_by_the_next(log: Log) -> None:
    """Whether it was stored is found out by loading, as after any other lost answer."""
    store = await log.store()
    version = 0
    for delay in range(40):
        append = asyncio.create_task(store.append(stream("a"), version, [Counted(version)], CONTEXT))
        await asyncio.sleep(delay * 0.00005)
        append.cancel()
        await asyncio.gather(append, return_exceptions=True)
        while True:
            version = len(await store.load(stream("a")))
            try:
                await store.append(stream("a"), version, [Counted(version)], CONTEXT)
                break
            except WrongVersion:  # it landed after the load
                continue
        version += 1

    assert [store.decode(event).number for event in await store.load(stream("a"))] == list(range(version))


async def test_closing_waits_for_what_was_sent_and_refuses_the_rest(log: Log) -> None:
    """Each of 3,000 callers has a certain answer when the store is closed; later ones are refused."""
    store = await log.store()
    callers = [asyncio.create_task(store.append(stream(f"{n}"), 0, [Counted(n)], CONTEXT)) for n in range(3_000)]
    for _ in range(3):
        await asyncio.sleep(0)

    await store.close()

    outcomes = await asyncio.gather(*callers, return_exceptions=True)
    acknowledged = {n for n, outcome in enumerate(outcomes) if not isinstance(outcome, BaseException)}
    assert all(isinstance(outcomes[n], LogUnavailable) for n in set(range(3_000)) - acknowledged)
    assert 0 < len(acknowledged) < 3_000
    with pytest.raises(LogUnavailable, match="closed"):
        await store.append(stream("late"), 0, [Counted(1)], CONTEXT)
    reader = await log.store()
    assert {reader.decode(event).number for event in await everything(reader)} == acknowledged


async def test_a_write_the_server_finds_too_large_fails_alone(log: Log) -> None:
    """A poisoned write in a joint batch: the other 99 are stored."""
    connection = (await log.store()).connection
    location = LogLocation(f"{log.location.stream}-small", f"{log.location.prefix}small")
    config = {"name": location.stream, **protected(location), "max_msg_size": 1_000}
    await ask(connection, f"STREAM.CREATE.{location.stream}", config)
    writer = await Committer(connection, location).open()
    writes = [Message(f"{location.prefix}.a.{n}.1", b"x" * (5_000 if n == 37 else 10)) for n in range(100)]

    outcomes = await asyncio.gather(*(writer.commit([write]) for write in writes), return_exceptions=True)

    assert [n for n, outcome in enumerate(outcomes) if isinstance(outcome, WriteTooLarge)] == [37]
    positions = [outcome for outcome in outcomes if isinstance(outcome, int)]
    assert sorted(positions) == list(range(1, 100))
    await writer.close()
    await ask(connection, f"STREAM.DELETE.{location.stream}")


async def test_the_very_same_messages_sent_again_have_the_same_outcome(log: Log) -> None:
    """At the same time, later, and from another process."""
    store, other = await log.store(), await log.store()
    messages = [Message(f"{log.location.prefix}.a.b.{n}", f"{n}".encode()) for n in (1, 2, 3)]
    first = await Committer(store.connection, log.location).open()
    second = await Committer(other.connection, log.location).open()

    together = await asyncio.gather(*(first.commit(list(messages)) for _ in range(5)))
    later = await second.commit(messages)

    assert {*together, later} == {3}
    assert (await store.state()).last == 3
    await first.close()
    await second.close()


async def test_a_write_with_one_subject_twice_is_refused(log: Log) -> None:
    store = await log.store()
    writer = await Committer(store.connection, log.location).open()
    message = Message(f"{log.location.prefix}.a.b.1", b"1")

    for wrong in ([], [message, message]):
        with pytest.raises(ValueError, match="at most one"):
            await writer.commit(wrong)
    await writer.close()


async def test_an_outage_is_answered_in_time_and_ends_by_itself(own_nats: Servers) -> None:
    """No server: every caller hears so when its own time is up, not later; afterwards appends work again."""
    async with _log_on(own_nats) as log:
        store = await log.store()
        await store.append(stream("before"), 0, [Counted(0)], CONTEXT)
        own_nats.nodes[0].kill()
        began = time.monotonic()

        async def write(n: int) -> float:
            with pytest.raises(LogUnavailable):
                await store.append(stream(f"{n}"), 0, [Counted(n)], CONTEXT, timeout=0.5 + (n % 3) * 0.3)
            return time.monotonic() - began

        took = await asyncio.gather(*map(write, range(300)))

        assert all(0.4 + (n % 3) * 0.3 < seconds < 1.0 + (n % 3) * 0.3 for n, seconds in enumerate(took))
        await asyncio.to_thread(own_nats.nodes[0].start)
        await store.append(stream("after"), 0, [Counted(1)], CONTEXT)
        assert [event.stream.id for event in await everything(store)] == ["before", "after"]


async def test_too_many_waiting_writes_are_refused_at_once(own_nats: Servers, monkeypatch: pytest.MonkeyPatch) -> None:
    """Memory stays bounded while the log is away."""
    monkeypatch.setattr(committer, "MAX_OPEN", 200)
    async with _log_on(own_nats) as log:
        store = await log.store()
        own_nats.nodes[0].kill()
        waiting = [
            asyncio.create_task(store.append(stream(f"{n}"), 0, [Counted(n)], CONTEXT, timeout=10)) for n in range(200)
        ]
        await asyncio.sleep(0.05)

        began = time.monotonic()
        with pytest.raises(LogUnavailable, match="200 writes are waiting"):
            await store.append(stream("one-more"), 0, [Counted(1)], CONTEXT)
        assert time.monotonic() - began < 0.5

        await asyncio.to_thread(own_nats.nodes[0].start)
        assert sorted(appended.position for appended in await asyncio.gather(*waiting)) == list(range(1, 201))


@asynccontextmanager
async def _log_on(servers: Servers) -> AsyncGenerator[Log]:
    """A log that is left to its server, which goes away with it."""
    connection = await connect_to(servers.url)
    await create_log(connection)
    await connection.close()
    log = Log(servers, LogLocation())
    try:
        yield log
    finally:
        await log.close()
