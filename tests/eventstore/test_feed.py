"""The feed under slow readers and broken logs."""

from __future__ import annotations

import asyncio

import pytest

from eventstore.errors import HistoryBroken, LogMissing
from eventstore.feed import Feed
from eventstore.streams import LogLocation, ask, protected
from tests.eventstore.log import CONTEXT, Counted, Log, Noted, everything, numbers, stream, until

_MIB = 1024 * 1024


async def test_a_slow_reader_holds_the_server_back(log: Log) -> None:
    """160 MiB wait in the log and nobody reads: less than 96 MiB come into memory, and later not one is missing."""
    store = await log.store()
    text = "x" * 32_000
    for start in range(0, 5_000, 250):
        await store.append(stream("big"), start, [Noted(text)] * 250, CONTEXT)

    async with store.follow() as feed:
        feed_is_still = await _stands_still(feed)
        _, held_back = feed.held_back
        positions: list[int] = []
        async with asyncio.timeout(30):
            async for batch in feed.raw_batches(100):
                positions += [position for position, _ in batch]
                assert feed.held_back[1] < 96 * _MIB
                if len(positions) == 5_000:
                    break

    assert 0 < feed_is_still < 5_000
    assert held_back < 96 * _MIB
    assert positions == list(range(1, 5_001))


async def test_reading_in_turns_loses_nothing(log: Log) -> None:
    """A reader may stop and start to read again on the same feed."""
    store = await log.store()
    await store.append(stream("a"), 0, [Counted(n) for n in range(500)], CONTEXT)

    received = []
    async with store.follow() as feed:
        while len(received) < 500:
            async for batch in feed.batches(7):
                received += batch
                break

    assert numbers(store, received) == list(range(500))


async def test_an_event_missing_from_the_log_stops_the_feed(log: Log) -> None:
    """A hole in the positions is an error for whoever follows the whole log, not something to step over."""
    store = await log.store()
    location = LogLocation(f"{log.location.stream}-gap", f"{log.location.prefix}gap")
    config = {"name": location.stream, **protected(location), "deny_delete": False}
    await ask(store.connection, f"STREAM.CREATE.{location.stream}", config)
    for n in range(1, 6):
        await store.connection.request(f"{location.prefix}.a.b.{n}", f"{n}".encode())
    await ask(store.connection, f"STREAM.MSG.DELETE.{location.stream}", {"seq": 3})

    async with Feed(store.connection, location, gapless=True) as feed:
        with pytest.raises(HistoryBroken, match="between 0 and 5"):
            await anext(feed.raw_batches())
    async with Feed(store.connection, location) as feed:
        assert [position for position, _ in await anext(feed.raw_batches())] == [1, 2, 4, 5]
    await ask(store.connection, f"STREAM.DELETE.{location.stream}")


async def test_a_feed_of_a_log_that_is_not_there_says_so(log: Log) -> None:
    store = await log.store()
    with pytest.raises(LogMissing, match="NO-SUCH-LOG"):
        async with Feed(store.connection, LogLocation("NO-SUCH-LOG", "nosuch")):
            pass


async def test_a_feed_starts_again_with_its_connection(log: Log) -> None:
    """The connection breaks while events come: each is handed out once, in order."""
    store, writer = await log.store(), await log.store()
    received: list[int] = []

    async def follow() -> None:
        async with store.follow() as feed:
            async for batch in feed.batches():
                received.extend(numbers(store, batch))

    following = asyncio.create_task(follow())
    for round_ in range(4):
        await writer.append(stream("a"), round_ * 500, [Counted(round_ * 500 + n) for n in range(500)], CONTEXT)
        await store.connection.force_reconnect()
        await until(lambda: store.connection.is_connected)
    await until(lambda: len(received) >= 2_000)
    following.cancel()

    assert received == list(range(2_000))
    assert len(await everything(store)) == 2_000


async def _stands_still(feed: Feed) -> int:
    """The position at which the server stopped to send: unchanged for a whole second."""
    position = -1
    async with asyncio.timeout(20):
        while position != feed.position or position == 0:
            position = feed.position
            await asyncio.sleep(1.0)
    return position
