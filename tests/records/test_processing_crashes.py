"""The processor is gone right before or right after each of its writes, and another one goes on: the same record in the
end, and every event exactly once."""

import asyncio
import os
import random

import pytest

from domain import record
from domain.message import Attachment, record_id
from eventstore.tasks import end_tasks
from tests.records.pipeline import INVOICE, pipeline, processing
from tests.records.test_processing import ALL, CHAT, NO_BUYER, asked

STORIES = {
    "plain": ("Enrich", "Analyse", "Score"),
    "parked": ("FailStage", "Enrich", "Analyse", "Score"),
    "corrected": ("Enrich", "Analyse", "Score", "Score"),
    "answered": ("Enrich", "Answer", "Analyse", "Score"),
}
"""What the processor writes, in this order; of `answered` it is the answer's record that counts."""

ON_RECORD = {
    "plain": ALL,
    "parked": ["Received", "StageFailed", "Parked", "Retried", *ALL[1:]],
    "corrected": [*ALL, "Corrected", "Scored", "Persisted"],
    "answered": ALL,
}
MATRIX = [
    (story, when, place)
    for story, told in STORIES.items()
    for when in ("before", "after")
    for place in range(len(told))
]
SEED = int(os.environ.get("SAGACITY_CRASH_SEED", "20261121"))
random.Random(SEED).shuffle(MATRIX)
SAMPLE = [next(case for case in MATRIX if case[0] == story) for story in STORIES]


class Story:
    """Told around the processor, whether it runs or not."""

    def __init__(self, pipeline, story):
        self.p, self.story = pipeline, story
        self.fetched = [False]
        self.asked = ""

    async def fetch(self, _message, _attachment):
        if not self.fetched[0]:
            raise OSError("away")
        return INVOICE.encode()

    async def prepare(self):
        """What has happened before it begins: it is told by a processor that nobody disturbs."""
        if self.story == "answered":
            await self.p.open(CHAT)
            async with processing(self.p.core):
                self.asked = await asked(self.p, NO_BUYER)
        else:
            await self.p.open()

    async def happens(self):
        p = self.p
        match self.story:
            case "plain":
                id = await p.receive("m-2", INVOICE)
            case "parked":
                message = p.message("m-2", "", Attachment("letter.txt", "text/plain", remote="letter"))
                outcome = await p.command("record", record_id(message), record.Receive(message))
                id = outcome.stream.id
                await p.settled(id)
                self.fetched[0] = True
                await p.command("record", id, record.Retry())
                await p.settled(id, lambda known: known.parked is None)
            case "corrected":
                id = await p.receive("m-2", INVOICE)
                await p.settled(id)
                await p.command("record", id, record.Correct("buyer.name", "Baker Inc"))
                await p.settled(id, lambda known: known.assessment is not None and known.next is None)
            case _:
                id = await p.receive("m-2", "Buyer: Sample SARL\nDue date: 2026-12-02", conversation="c-1")
                await p.settled(self.asked, lambda known: known.completed)
        await p.settled(id)
        return id


async def assert_right_end(story, id):
    p = story.p
    assert await p.names(id) == ON_RECORD[story.story]
    known = await p.state(id)
    assert known.completed
    assert known.parked is None
    if story.story == "answered":
        asked_about = await p.names(story.asked)
        assert [asked_about.count(name) for name in ("Answered", "Scored", "Completed")] == [1, 2, 1]
        assert (await p.state(story.asked)).assessment.score == 1.0
        assert known.analysis.domain == "answer"
    else:
        assert (known.assessment.schema_name, known.assessment.score) == ("financial", 1.0)


async def crash_case(url, name, story_name, when, place):
    async with pipeline(url, name) as p:
        story = Story(p, story_name)
        await story.prepare()
        struck, written = asyncio.Event(), []

        async def strike(_category, id, command):
            if id == story.asked and not isinstance(command, record.Answer):
                return  # the record asked about goes on beside this one
            written.append(command)
            if len(written) - 1 == place:
                struck.set()
                await asyncio.Event().wait()

        around = asyncio.create_task(story.happens())
        try:
            async with processing(p.core, fetch=story.fetch, **{when: strike}), asyncio.timeout(30):
                await struck.wait()
            async with processing(p.core, fetch=story.fetch), asyncio.timeout(40):
                id = await around
        finally:
            await end_tasks(around)
        assert [type(each).__name__ for each in written] == list(STORIES[story_name][: place + 1])
        await assert_right_end(story, id)


@pytest.mark.parametrize("case", SAMPLE, ids=lambda case: "-".join(map(str, case)))
async def test_a_seeded_sample_of_the_boundaries(log_url, case):
    await crash_case(log_url, f"sample{SAMPLE.index(case)}", *case)


@pytest.mark.matrix
@pytest.mark.parametrize("case", MATRIX, ids=lambda case: "-".join(map(str, case)))
async def test_every_boundary(log_url, case):
    await crash_case(log_url, f"matrix{MATRIX.index(case)}", *case)


@pytest.mark.parametrize("story_name", STORIES)
async def test_the_matrix_is_complete(log_url, story_name):
    """An undisturbed processor writes at every boundary of its story, in that order, and nowhere else."""
    async with pipeline(log_url, f"count-{story_name}") as p:
        story, written = Story(p, story_name), []
        await story.prepare()

        async def note(_category, id, command):
            if id != story.asked or isinstance(command, record.Answer):
                written.append(type(command).__name__)

        async with processing(p.core, fetch=story.fetch, after=note):
            id = await story.happens()
        await assert_right_end(story, id)
        assert tuple(written) == STORIES[story_name]
