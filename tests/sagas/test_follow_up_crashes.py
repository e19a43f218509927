"""Every event boundary of the follow-up saga: its runner is gone right before or right after the write, and another one
goes on. Nothing is lost, and only what was sent and not on the record yet is sent again.
"""

import asyncio
import os
import random
from datetime import timedelta

import pytest

from domain import record
from eventstore.tasks import end_tasks
from tests.crash.boundaries import boundary
from tests.sagas.chases import DEADLINE, REMINDER, THURSDAY, days, running, standing_by

ASKED = ("started", "begin ask", "kept ask; done ask; begin wait")
REMINDED = (
    *ASKED,
    "heard wait timed out; begin look",
    "done wait; begin remind",
    "kept remind; done remind; begin await",
)
STORIES = {
    "answered": (*ASKED, "completed"),
    "unasked": (*ASKED[:2], "undone ask; failed ask; completed"),
    "reminded": (*REMINDED, "completed"),
    "expired": (*REMINDED, "heard await timed out; begin look", "completed"),
    "paused": (
        *ASKED,
        "heard wait paused; begin look",
        "begin paused",
        "heard paused resumed; begin look",
        "begin wait",
        "completed",
    ),
}
SENT = {"kept ask; done ask; begin wait": "ask", "kept remind; done remind; begin await": "remind"}
"""Writes that tell of something that was sent."""

MATRIX = [(story, when, where) for story, told in STORIES.items() for when in ("before", "after") for where in told]
SEED = int(os.environ.get("SAGACITY_CRASH_SEED", "20261121"))
random.Random(SEED).shuffle(MATRIX)
SAMPLE = [next(case for case in MATRIX if case[0] == story) for story in STORIES]


async def what_happens(chase, story):
    """Around the saga until it has ended, whether it runs or not."""
    if story == "unasked":
        chase.receiver.status = 403
        await chase.prepare()
        return await chase.ended()
    await chase.asked()
    match story:
        case "answered":
            await chase.answer()
        case "paused":
            await chase.clock.advance(THURSDAY + timedelta(hours=2))
            await chase.tell(record.PauseFollowUp())
            await chase.step("paused")
            await chase.clock.advance(THURSDAY + days(8))
            await chase.tell(record.ResumeFollowUp())
            await chase.until(lambda: chase.told(record.Rescheduled), bool)
            await chase.answer()
        case _:
            await chase.clock.advance(REMINDER)
            await chase.step("await")
            await (chase.clock.advance(DEADLINE) if story == "expired" else chase.answer())
    return await chase.ended()


ON_RECORD = {
    "answered": ["Asked", "Answered"],
    "unasked": ["FollowUpEnded"],
    "reminded": ["Asked", "Reminded", "Answered"],
    "expired": ["Asked", "Reminded", "Expired"],
    "paused": ["Asked", "FollowUpPaused", "FollowUpResumed", "Rescheduled", "Answered"],
}


async def assert_right_end(chase, story, twice=None):
    """Everything once, in the order of an undisturbed run; `twice` is what was sent again."""
    parts = [boundary(f"{chase.name}-1", [event]) for event, _ in await chase.events("saga", saga_of(chase))]
    written, told = [each for each in parts if each], [part for each in STORIES[story] for part in each.split("; ")]
    assert written == told if story != "paused" else without_looks(written) == without_looks(told)
    events = [type(event).__name__ for event, _ in await chase.events("record", chase.name)]
    assert events[events.index("FollowUpRequested") + 1 :] == ON_RECORD[story]
    reminders = ["reminder" in taken.text for taken in chase.receiver.taken]
    asked = 0 if story == "unasked" else 1
    assert reminders.count(False) == asked + (twice == "ask")
    assert reminders.count(True) == (story in ("reminded", "expired")) + (twice == "remind")
    assert await chase.match() is None


def without_looks(written):
    """News of a pause that are heard again, as they are after a crash, make the saga look again, at no other effect."""
    again = ("begin look", "begin wait", "begin paused")
    return [each for each in written if each not in again and not each.endswith(("paused", "resumed"))]


def saga_of(chase):
    return f"follow-up-{chase.name}-1"


async def crash_case(url, name, story, when, where):
    async with standing_by(url, name) as chase:
        struck = asyncio.Event()

        async def strike(write):
            if write.stream.id == saga_of(chase) and boundary(f"{name}-1", write.events) == where:
                struck.set()
                await asyncio.Event().wait()

        setattr(chase, f"tell_{when}", strike)
        around = asyncio.create_task(what_happens(chase, story))
        try:
            async with running(chase), asyncio.timeout(30):
                await struck.wait()
            chase.tell_before = chase.tell_after = None
            async with running(chase), asyncio.timeout(30):
                await around
        finally:
            await end_tasks(around)
        await assert_right_end(chase, story, SENT.get(where) if when == "before" else None)


@pytest.mark.parametrize("case", SAMPLE, ids="-".join)
async def test_a_seeded_sample_of_the_boundaries(log_url, case):
    await crash_case(log_url, f"sample{SAMPLE.index(case)}", *case)


@pytest.mark.parametrize("where", SENT)
async def test_what_was_sent_and_is_not_on_the_record_is_sent_again(log_url, where):
    """At least once: better twice than never. The key is the same, for platforms that can tell."""
    await crash_case(log_url, f"twice-{SENT[where]}", "expired", "before", where)


@pytest.mark.matrix
@pytest.mark.parametrize("case", MATRIX, ids="-".join)
async def test_every_boundary(log_url, case):
    await crash_case(log_url, f"matrix{MATRIX.index(case)}", *case)


@pytest.mark.parametrize("story", STORIES)
async def test_the_matrix_is_complete(log_url, story):
    """An undisturbed run writes at every boundary of its story, in that order, and nowhere else."""
    async with standing_by(log_url, f"count-{story}") as chase:
        written = []

        async def note(write):
            if write.stream.id == saga_of(chase) and write.events:
                written.append(boundary(f"{chase.name}-1", write.events))

        chase.tell_after = note
        async with running(chase):
            await what_happens(chase, story)
        await assert_right_end(chase, story)
    assert tuple(written) == STORIES[story]
