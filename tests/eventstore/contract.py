"""What every event store must do, whatever servers it runs on. `test_contract.py` runs it on one node and on three."""

from __future__ import annotations

import asyncio
import contextlib
import random
from datetime import timedelta

import msgspec
import pytest

from eventstore.connection import connect_to
from eventstore.envelope import NO_HASH, Recorded, StreamId
from eventstore.errors import (
    HistoryBroken,
    LogMisconfigured,
    LogMissing,
    LogUnavailable,
    WriteTooLarge,
    WrongVersion,
)
from eventstore.feed import Feed
from eventstore.store import EventStore, StreamWrite
from eventstore.streams import LogLocation, ask, create_log, protected
from eventstore.verification import verify
from tests.eventstore.log import CATALOGUE, CONTEXT, NOON, Counted, Log, Noted, everything, numbers, stream, until


class Appending:
    async def test_an_event_comes_back_as_it_was_appended(self, log: Log) -> None:
        """Type, data, stream, version, position, time, actor, causation, correlation, tenant and trace survive."""
        store = await log.store()

        appended = await store.append(stream("a"), 0, [Noted("héllo ☃")], CONTEXT)

        [loaded] = await store.load(stream("a"))
        assert [loaded] == appended.events
        assert store.decode(loaded) == Noted("héllo ☃")
        assert (loaded.stream, loaded.version, loaded.position) == (stream("a"), 1, 1)
        document = msgspec.json.decode(loaded.raw)
        del document["id"]
        assert document == {
            "specversion": "1.0",
            "source": "/sagacity",
            "type": "test.noted",
            "time": "2026-11-21T12:00:00Z",
            "datacontenttype": "application/json",
            "stream": "thing/a",
            "streamversion": 1,
            "correlationid": "c-1",
            "actor": "ada",
            "causationid": "b-1",
            "tenant": "t",
            "traceparent": "00-1-2-01",
            "data": {"type": "test.noted", "text": "héllo ☃"},
        }

    async def test_an_append_at_another_version_is_refused(self, log: Log) -> None:
        """Behind, at the same place by another writer, or ahead of the stream: WrongVersion, and nothing is stored."""
        store, other = await log.store(), await log.store()
        await store.append(stream("a"), 0, [Counted(1), Counted(2)], CONTEXT)

        for writer in (store, other):
            for wrong in (0, 1, 3, 7):
                with pytest.raises(WrongVersion):
                    await writer.append(stream("a"), wrong, [Counted(9)], CONTEXT)
        with pytest.raises(ValueError, match="no version"):
            await store.append(stream("a"), -1, [Counted(9)], CONTEXT)

        assert numbers(store, await everything(store)) == [1, 2]

    async def test_several_streams_are_written_together(self, log: Log) -> None:
        """At consecutive positions in the given order, also while others write at full speed."""
        store, other = await log.store(), await log.store()
        over = asyncio.Event()

        async def disturb() -> None:
            version = 0
            while not over.is_set():
                await other.append(stream("noise"), version, [Counted(0)], CONTEXT)
                version += 1

        noise = asyncio.create_task(disturb())
        for round_ in range(20):
            writes = [StreamWrite(stream(f"{round_}-{n}"), 0, [Counted(n), Counted(n)]) for n in range(3)]
            appended = await store.append_all(writes, CONTEXT)
            assert numbers(store, list(appended.events)) == [0, 0, 1, 1, 2, 2]
            first = appended.position - 5
            assert [event.position for event in appended.events] == list(range(first, first + 6))
            assert [event for event in await everything(store) if event.position >= first][:6] == appended.events
        over.set()
        await noise

    async def test_one_conflict_refuses_the_whole_append(self, log: Log) -> None:
        """All or nothing: wherever in the write the conflict stands, and whoever wrote before."""
        store, other = await log.store(), await log.store()
        await other.append(stream("taken"), 0, [Noted("first")], CONTEXT)

        for place in range(3):
            writes = [StreamWrite(stream(f"new-{n}"), 0, [Noted("no")]) for n in range(2)]
            writes.insert(place, StreamWrite(stream("taken"), 0, [Noted("second")]))
            with pytest.raises(WrongVersion) as refusal:
                await store.append_all(writes, CONTEXT)
            assert (refusal.value.stream, refusal.value.version) == ("thing/taken", 1)

        assert [store.decode(event) for event in await everything(store)] == [Noted("first")]

    async def test_a_command_id_stands_once_for_ever(self, log: Log) -> None:
        """A record stream that has its one version makes every later write that repeats it store nothing."""
        store = await log.store()
        record = StreamWrite(StreamId("command", "c-1"), 0, [Noted("accepted")])
        await store.append_all([StreamWrite(stream("a"), 0, [Counted(1)]), record], CONTEXT)

        again = await log.store()
        for _ in range(3):
            with pytest.raises(WrongVersion) as refusal:
                await again.append_all([StreamWrite(stream("a"), 1, [Counted(1)]), record], CONTEXT)
            assert refusal.value.stream == "command/c-1"

        assert len(await everything(store)) == 2

    async def test_writes_for_one_stream_must_follow_each_other(self, log: Log) -> None:
        store = await log.store()
        first = StreamWrite(stream("a"), 0, [Counted(1), Counted(2)])

        await store.append_all([first, StreamWrite(stream("a"), 2, [Counted(3)])], CONTEXT)
        for wrong in (0, 2, 5):
            writes = [StreamWrite(stream("b"), 0, [Counted(1)]), StreamWrite(stream("b"), wrong, [Counted(2)])]
            with pytest.raises(ValueError, match="version"):
                await store.append_all(writes, CONTEXT)
        with pytest.raises(ValueError, match="no events"):
            await store.append(stream("b"), 0, [], CONTEXT)

        assert numbers(store, await everything(store)) == [1, 2, 3]
        assert (await verify(store)).faults == ()

    @pytest.mark.parametrize("id", ["", "a.b", "a b", "*", ">", "a/b", "-a", "é", "x" * 129])
    async def test_an_id_that_is_no_plain_token_is_refused(self, log: Log, id: str) -> None:
        store = await log.store()
        for bad in (StreamId("thing", id), StreamId(id, "a")):
            with pytest.raises(ValueError, match="no valid stream id"):
                await store.append(bad, 0, [Counted(1)], CONTEXT)

    async def test_what_is_too_large_is_refused_whole(self, log: Log) -> None:
        """An oversize event, more than 1,000 events or more than 32 MiB: an error, and not a single event stored."""
        store = await log.store()
        limit = store.connection.max_payload

        for events in (
            [Counted(1), Noted("x" * limit), Counted(2)],
            [Counted(n) for n in range(1_001)],
            [Noted("x" * 500_000)] * 70,
        ):
            with pytest.raises(WriteTooLarge):
                await store.append(stream("a"), 0, events, CONTEXT)
        assert await everything(store) == []

        await store.append(stream("a"), 0, [Counted(n) for n in range(1_000)], CONTEXT)
        await store.append(stream("b"), 0, [Noted("x" * (limit - 3_000))], CONTEXT)
        assert (await store.state()).last == 1_001


class Loading:
    async def test_a_stream_that_is_not_there_is_empty(self, log: Log) -> None:
        store = await log.store()
        assert await store.load(stream("nobody")) == []
        assert await store.load(stream("nobody"), latest=True) == []

    async def test_every_event_carries_the_hash_of_the_one_before(self, log: Log) -> None:
        """Across appends, writers, and several writes for the stream at once."""
        store, other = await log.store(), await log.store()
        await store.append(stream("a"), 0, [Counted(1), Counted(2)], CONTEXT)
        await other.append(stream("a"), 2, [Counted(3)], CONTEXT)
        await store.append(stream("a"), 3, [Counted(4)], CONTEXT)

        events = await store.load(stream("a"), latest=True)

        assert [event.envelope.previoushash for event in events] == [NO_HASH, *(event.hash for event in events[:-1])]

    async def test_a_stream_as_it_was_at_a_position(self, log: Log) -> None:
        store = await log.store()
        for version in range(4):
            await store.append(stream("a"), version, [Counted(version)], CONTEXT)
            await store.append(stream("b"), version, [Counted(version)], CONTEXT)

        for position in range(10):
            events = await store.load(stream("a"), until_position=position)
            assert numbers(store, events) == [n for n in range(4) if 2 * n + 1 <= position]

    async def test_a_stream_as_it_was_at_a_time(self, log: Log) -> None:
        """The time is the one every event shows, to the microsecond; the very moment is included."""
        store = await log.store()
        for version in range(4):
            moment = NOON + timedelta(seconds=version)
            context = msgspec.structs.replace(CONTEXT, time=moment)
            await store.append(stream("a"), version, [Counted(version)], context)

        async def known_at(seconds: float) -> list[int]:
            return numbers(store, await store.load(stream("a"), until_time=NOON + timedelta(seconds=seconds)))

        assert await known_at(-1) == []
        assert await known_at(0) == [0]
        assert await known_at(1.999999) == [0, 1]
        assert await known_at(2) == [0, 1, 2]
        assert await known_at(99) == [0, 1, 2, 3]

    async def test_streams_longer_than_the_server_lists_at_once(self, log: Log) -> None:
        """More than 1,024 events: the whole, the rest above a version, the first few, and at a position."""
        store = await log.store()
        for start in range(0, 2_500, 500):
            await store.append(stream("long"), start, [Counted(n + 1) for n in range(start, start + 500)], CONTEXT)
        loaded = numbers(store, await store.load(stream("long"), latest=True))

        assert loaded == list(range(1, 2_501))
        assert numbers(store, await store.load(stream("long"), after_version=2_490)) == list(range(2_491, 2_501))
        assert numbers(store, await store.load(stream("long"), limit=70)) == list(range(1, 71))
        assert numbers(store, await store.load(stream("long"), until_position=1_200)) == list(range(1, 1_201))
        reader = await log.store()
        assert len(await reader.load(stream("long"), after_version=1, latest=True)) == 2_499

    async def test_an_acknowledged_event_is_there_at_once(self, log: Log) -> None:
        """For whoever wrote it on every load, for everybody else with `latest`, whichever node answers."""
        writer = await log.store()
        readers = [await log.store(url=node.url) for node in log.servers.nodes]

        for version in range(60):
            await writer.append(stream("a"), version, [Counted(version)], CONTEXT)
            assert len(await writer.load(stream("a"))) == version + 1
            seen = await asyncio.gather(*(reader.load(stream("a"), latest=True) for reader in readers))
            assert [len(events) for events in seen] == [version + 1] * len(readers)

    async def test_a_log_that_lost_its_end_is_noticed(self, log: Log) -> None:
        """What this process wrote or read before must still be there."""
        store = await log.store()
        await store.append(stream("a"), 0, [Counted(1), Counted(2)], CONTEXT)
        await ask(store.connection, f"STREAM.DELETE.{log.location.stream}")
        await create_log(store.connection, log.location, replicas=log.servers.replicas)
        await (await log.store()).append(stream("a"), 0, [Counted(1)], CONTEXT)

        with pytest.raises(HistoryBroken):
            await store.load(stream("a"))


class Reading:
    async def test_pages_of_the_whole_log_and_of_a_category(self, log: Log) -> None:
        store = await log.store()
        for n in range(7):
            category = "even" if n % 2 == 0 else "odd"
            await store.append(stream(f"{n}", category), 0, [Counted(n)], CONTEXT)

        async def page(expected: list[int], after: int, limit: int, category: str | None = None) -> None:
            async def shown() -> bool:  # a follower may need a moment to learn of the newest events
                return numbers(store, await store.read(after, limit, category=category)) == expected

            await until(shown, 5)

        await page([0, 1, 2], 0, 3)
        await page([3, 4, 5], 3, 3)
        await page([6], 6, 3)
        await page([], 7, 3)
        await page([1, 3], 0, 2, "odd")
        await page([5], 4, 9, "odd")

    async def test_a_feed_goes_from_the_past_into_the_present(self, log: Log) -> None:
        """From any position, everything once, in order, over to events appended while it reads."""
        store = await log.store()
        await store.append(stream("a"), 0, [Counted(n) for n in range(50)], CONTEXT)

        async with store.follow(after=20) as feed:
            received = await _take(feed, 30)
            await store.append(stream("a"), 50, [Counted(n) for n in range(50, 90)], CONTEXT)
            received += await _take(feed, 40)

        assert numbers(store, received) == list(range(20, 90))
        assert [event.position for event in received] == list(range(21, 91))

    async def test_a_feed_of_some_categories(self, log: Log) -> None:
        store = await log.store()
        for n in range(9):
            await store.append(stream(f"{n}", "abc"[n % 3]), 0, [Counted(n)], CONTEXT)

        async with store.follow(categories=["a", "c"]) as feed:
            assert numbers(store, await _take(feed, 6)) == [0, 2, 3, 5, 6, 8]

    async def test_a_feed_outlives_its_consumer(self, log: Log) -> None:
        """Someone deletes it on the server: nothing is missed and nothing comes twice."""
        store = await log.store()
        await store.append(stream("a"), 0, [Counted(n) for n in range(10)], CONTEXT)

        async with store.follow() as feed:
            received = await _take(feed, 10)
            names = (await ask(store.connection, f"CONSUMER.NAMES.{log.location.stream}"))["consumers"]
            for name in names:
                await ask(store.connection, f"CONSUMER.DELETE.{log.location.stream}.{name}")
            await store.append(stream("a"), 10, [Counted(n) for n in range(10, 20)], CONTEXT)
            received += await _take(feed, 10)

        assert numbers(store, received) == list(range(20))


class Competing:
    async def test_a_conflict_in_a_joint_batch_costs_only_its_cause(self, log: Log) -> None:
        """400 writers at once, some of one event and some of several; 40 of them come too late."""
        store, other = await log.store(), await log.store()
        taken = set(range(0, 400, 10))
        await asyncio.gather(*(other.append(stream(f"{n}"), 0, [Counted(-1)], CONTEXT) for n in taken))

        appends = (store.append(stream(f"{n}"), 0, [Counted(n)] * (1 + n % 3), CONTEXT) for n in range(400))
        outcomes = await asyncio.gather(*appends, return_exceptions=True)

        refused = {n: outcome.stream for n, outcome in enumerate(outcomes) if isinstance(outcome, WrongVersion)}
        assert refused == {n: f"thing/{n}" for n in taken}
        for n in (1, 2, 3, 10, 399):
            expected = [-1] if n in taken else [n] * (1 + n % 3)
            assert numbers(store, await store.load(stream(f"{n}"), latest=True)) == expected
        verified = await verify(store)
        assert (verified.events, verified.faults) == (40 + sum(1 + n % 3 for n in set(range(400)) - taken), ())

    async def test_one_writer_wins_within_a_process(self, log: Log) -> None:
        """50 callers of one store want the same version: one has it, the others know at once that they lost."""
        store = await log.store()

        outcomes = await asyncio.gather(
            *(store.append(stream("a"), 0, [Counted(n)], CONTEXT) for n in range(50)), return_exceptions=True
        )

        assert sum(isinstance(outcome, WrongVersion) for outcome in outcomes) == 49
        assert len(await everything(store)) == 1

    async def test_exactly_one_of_two_processes_wins_each_version(self, log: Log) -> None:
        """Both append to the same streams as fast as they can: no version twice, no gap, no append lost."""
        stores = [await log.store(), await log.store()]
        streams = [stream(f"{n}") for n in range(5)]

        async def write(store: EventStore, target: StreamId) -> list[tuple[StreamId, int, str]]:
            won: list[tuple[StreamId, int, str]] = []
            version = 0
            while version < 30:
                try:
                    appended = await store.append(target, version, [Counted(version)], CONTEXT)
                    won.append((target, version + 1, appended.events[0].envelope.id))
                    version += 1
                except WrongVersion:
                    version = len(await store.load(target, latest=True))
            return won

        writers = [write(store, target) for store in stores for target in streams]
        won = [each for outcome in await asyncio.gather(*writers) for each in outcome]

        log_holds = [(event.stream, event.version, event.envelope.id) for event in await everything(stores[0])]
        assert sorted(won) == sorted(log_holds)
        assert sorted((s, v) for s, v, _ in log_holds) == [(s, v) for s in streams for v in range(1, 31)]
        assert (await verify(stores[1])).faults == ()


class Failing:
    async def test_a_missing_log_is_reported_and_never_created(self, log: Log) -> None:
        connection = await connect_to(log.servers.url)
        missing = LogLocation("NO-SUCH-LOG", "nosuch")

        with pytest.raises(LogMissing, match="NO-SUCH-LOG"):
            await EventStore.open(connection, CATALOGUE, missing)

        names = (await ask(connection, "STREAM.NAMES"))["streams"]
        assert missing.stream not in names
        await connection.close()

    async def test_a_log_that_does_not_protect_history_is_refused(self, log: Log) -> None:
        """Every difference is named at once."""
        connection = await connect_to(log.servers.url)
        location = LogLocation(f"{log.location.stream}-X", f"{log.location.prefix}x")
        config = protected(location) | {
            "discard": "old",
            "discard_new_per_subject": False,
            "deny_purge": False,
            "allow_atomic": False,
            "allow_msg_ttl": True,
            "max_msg_size": 1000,
        }
        await ask(connection, f"STREAM.CREATE.{location.stream}", {"name": location.stream, **config})

        for attempt in (create_log(connection, location), EventStore.open(connection, CATALOGUE, location)):
            with pytest.raises(LogMisconfigured) as refusal:
                await attempt
            named = {difference.split()[0] for difference in refusal.value.differences}
            assert named == {
                "discard",
                "discard_new_per_subject",
                "deny_purge",
                "allow_atomic",
                "allow_msg_ttl",
                "max_msg_size",
            }
        await ask(connection, f"STREAM.DELETE.{location.stream}")
        await connection.close()

    async def test_a_crash_in_the_middle_of_everything(self, log: Log) -> None:
        """The node that leads is killed with -9 while 100 writers write and a feed reads, and started again.

        Every acknowledged append is there exactly once, every other one settles to a definite outcome, and the feed
        misses nothing and repeats nothing.
        """
        store, reader = await log.store(), await log.store()
        received: list[Recorded] = []
        acknowledged: dict[str, int] = {}
        over = asyncio.Event()

        async def follow() -> None:
            async with reader.follow() as feed:
                async for batch in feed.batches():
                    received.extend(batch)

        async def write(n: int) -> None:
            version = 0
            while not over.is_set():
                many = [Counted(version)] * random.choice([1, 1, 1, 3])
                appended = await store.append(stream(f"{n}"), version, many, CONTEXT, timeout=40)
                acknowledged.update({event.envelope.id: event.position for event in appended.events})
                version += len(many)

        following = asyncio.create_task(follow())
        writers = [asyncio.create_task(write(n)) for n in range(100)]
        await until(lambda: len(acknowledged) > 500)
        leader = await log.servers.leader_of(log.location.stream)
        leader.kill()
        before = len(acknowledged)
        await asyncio.to_thread(leader.start)
        await until(lambda: len(acknowledged) > before + 500, 40)
        over.set()
        await asyncio.gather(*writers)

        last = (await store.state()).last
        await until(lambda: len(received) >= last)
        following.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await following
        stored = {event.envelope.id: event.position for event in await everything(store)}
        assert stored == acknowledged
        assert [event.position for event in received] == list(range(1, last + 1))
        assert {event.envelope.id: event.position for event in received} == stored
        assert (await verify(store)).faults == ()

    async def test_nothing_is_acknowledged_twice_after_a_crash_among_waiting_callers(self, log: Log) -> None:
        """A burst of 1,000 callers; the leader dies after the first answers. Each caller gets one certain answer."""
        store = await log.store()
        answers: list[int] = []

        async def write(n: int) -> int:
            appended = await store.append(stream(f"{n}"), 0, [Noted("x" * 1_000)], CONTEXT, timeout=40)
            answers.append(n)
            return appended.position

        leader = await log.servers.leader_of(log.location.stream)
        callers = [asyncio.create_task(write(n)) for n in range(3_000)]
        await until(lambda: bool(answers))
        leader.kill()
        await asyncio.to_thread(leader.start)
        positions = await asyncio.gather(*callers)

        assert sorted(positions) == list(range(1, 3_001))
        found = {event.stream.id: event.position for event in await everything(store)}
        assert found == {f"{n}": position for n, position in enumerate(positions)}


async def _take(feed: Feed, count: int) -> list[Recorded]:
    received: list[Recorded] = []
    async with asyncio.timeout(20):
        async for batch in feed.batches(7):
            received += batch
            if len(received) >= count:
                return received
    raise LogUnavailable("the feed ended")


class EventStoreContract(Appending, Loading, Reading, Competing, Failing):
    """All of it."""
