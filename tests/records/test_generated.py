"""Thousands of messages, one in a hundred of them poison: every sound one is scored, every poisoned one is parked with
its reason and can be retried, and memory does not grow with their number."""

import asyncio
import time
from collections import Counter
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import msgspec
import psutil
import pytest

from domain import record
from domain.source import Limits
from eventstore.envelope import Recorded
from eventstore.tasks import end_tasks
from tests.records.generated import OFFICE, POISON, brew, endless_text, generated
from tests.records.pipeline import pipeline, processing

MEGABYTE = 1024 * 1024
AT_ONCE = 32
ROOM = 450 * MEGABYTE
"""What the process may grow by: a quarter of a gigabyte of attachments under way, and what is kept at hand."""

EACH_READER = 600 * MEGABYTE
"""512 of address space, and what is counted twice because it is shared."""


class Peaks:
    """Most bytes at a time: of this process, beyond what it had at first, and of one of those that read documents."""

    def __init__(self):
        self._status = Path("/proc/self/status")
        with suppress(OSError):
            Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew
        self._before = self._peak()
        self.reader = 0

    @property
    def growth(self):
        return self._peak() - self._before

    def _peak(self):
        line = next(line for line in self._status.read_text().splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1]) * 1024

    async def watch(self):
        me = psutil.Process()
        while True:
            for child in me.children(recursive=True):
                with suppress(psutil.Error):
                    if "records.enrich.reading_process" in child.cmdline():
                        self.reader = max(self.reader, child.memory_info().rss)
            await asyncio.sleep(0.2)


@asynccontextmanager
async def peaks():
    found = Peaks()
    watching = asyncio.create_task(found.watch())
    try:
        yield found
    finally:
        await end_tasks(watching)


async def settled(store, records, after=0):
    """Until so many are scored or parked; all of them, by id."""
    found: dict[str, Recorded] = {}
    async with store.follow(after, categories=["record"]) as feed:
        async for batch in feed.batches():
            for event in batch:
                if event.type in ("record.scored", "record.parked"):
                    assert event.stream.id not in found, f"{event.stream.id} twice"
                    found[event.stream.id] = event
            if len(found) == records:
                return found


async def take_in(p, messages):
    """The ids of the sound ones with their domains, and of the poisoned ones with what is to be said of them."""
    sound, poisoned, turns = {}, {}, asyncio.Semaphore(AT_ONCE)

    async def deliver(each):
        outcome = await p.deliver(each.incoming)
        assert outcome.outcome == "accepted", outcome
        (sound if each.poison is None else poisoned)[outcome.stream.id] = each.poison or each.domain
        turns.release()

    async with asyncio.TaskGroup() as group:
        for each in messages:
            await turns.acquire()
            group.create_task(deliver(each))
    return sound, poisoned


async def story(url, count, seed):
    async with pipeline(url, f"office-{count}") as p:
        await p.open()
        store = p.core.store
        async with processing(p.core, ack_wait=30.0):
            warm = await p.receive("warm", "Please pay invoice 7.", ("a.txt", "text/plain", b"warm up " * 400))
            await p.settled(warm)
            brew()
            started = (await store.state()).last
            began, cpu = time.perf_counter(), time.process_time()
            async with peaks() as peak, asyncio.timeout(1_500):
                all_settled = asyncio.create_task(settled(store, count, started))
                sound, poisoned = await take_in(p, generated(count, seed, p.source))
                found = await all_settled
            took, cpu = time.perf_counter() - began, time.process_time() - cpu
            events = {id: store.decode(event) for id, event in found.items()}
            assert_right(events, sound, poisoned, count)
            await assert_retryable(p, events, poisoned)
    print(
        f"\n{count} messages: {took:,.0f} s, {count / took:,.0f}/s, {cpu / count * 1e3:.1f} ms of the processor each; "
        f"this process grew by at most {peak.growth / MEGABYTE:,.0f} MB, readers {peak.reader / MEGABYTE:,.0f} MB each"
    )
    assert peak.growth < ROOM
    assert peak.reader < EACH_READER


def assert_right(events, sound, poisoned, count):
    assert (len(sound), len(poisoned)) == (count * 99 // 100, count // 100)
    domains = Counter()
    for id, domain in sound.items():
        assert isinstance(events[id], record.Scored), events[id]
        assert events[id].assessment.completeness > 0
        domains[events[id].assessment.schema_name == domain] += 1
    assert domains[True] > 0.98 * len(sound)
    for id, says in poisoned.items():
        parked = events[id]
        assert isinstance(parked, record.Parked), parked
        assert (parked.stage, parked.retryable) == ("enrich", True)
        assert says in parked.reason, parked


async def assert_retryable(p, events, poisoned):
    """Nothing has changed about them: each stage is run again, and says the same."""
    started = (await p.core.store.state()).last
    for id in poisoned:
        await p.command("record", id, record.Retry())
    again = await settled(p.core.store, len(poisoned), started)
    assert {id: p.core.store.decode(event) for id, event in again.items()} == {id: events[id] for id in poisoned}


async def test_two_hundred_messages_with_two_poisoned_ones(log_url):
    await story(log_url, 200, 1)


@pytest.mark.matrix
@pytest.mark.timeout(1_800)
async def test_ten_thousand_messages_with_a_hundred_poisoned_ones(log_url):
    await story(log_url, 10_000, 2)


async def test_every_poison_is_parked_for_its_own_reason(log_url):
    async with pipeline(log_url, "poison") as p:
        await p.open()
        async with processing(p.core, ack_wait=30.0):
            known = {}
            for each in generated(len(POISON), 3, p.source, poison=1):
                outcome = await p.deliver(each.incoming)
                known[outcome.stream.id] = each.poison
            for id, says in known.items():
                parked = (await p.settled(id)).parked
                assert says in parked.reason, parked
                assert parked.retryable
    assert len(known) == len(POISON)


async def test_a_text_of_100_megabytes_is_read_as_far_as_there_is_room_where_its_source_takes_it(log_url):
    async with pipeline(log_url, "patient") as p:
        await p.open(msgspec.structs.replace(OFFICE, limits=Limits(attachment=128 * MEGABYTE)))
        text = endless_text()
        async with processing(p.core, ack_wait=30.0), peaks() as peak:
            known = await p.settled(await p.receive("m-1", "", ("endless.txt", "text/plain", text)))
    assert known.parked is None
    assert "only the first 2000000 characters are read" in {flag.detail for flag in known.assessment.flags}
    assert known.analysis.readings
    assert peak.growth < ROOM
    assert peak.reader < EACH_READER
