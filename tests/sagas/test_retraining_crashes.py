"""Every event boundary of the retraining saga: its runner is gone right before or right after the write, and another
one goes on. `tests/crash` does the same with kill -9.
"""

import asyncio
import os
import random

import pytest

from eventstore.tasks import end_tasks
from sagacity.wiring import open_core
from tests.crash.boundaries import boundary
from tests.sagas.model_story import TREE, ModelStory, running
from tests.sagas.retraining_stories import STORIES, assert_right_end, second_version

MATRIX = [(story, when, where) for story, told in STORIES.items() for when in ("before", "after") for where in told]
SEED = int(os.environ.get("SAGACITY_CRASH_SEED", "20261121"))
random.Random(SEED).shuffle(MATRIX)
SAMPLE = [next(case for case in MATRIX if case[0] == story) for story in STORIES]


async def crash_case(url, name, outcome, when, where):
    async with open_core(url) as core:
        story = ModelStory(core, name)
        await story.register()
        async with running(story):
            await story.trained_first(TREE)
        struck = asyncio.Event()

        async def strike(write):
            if boundary(f"{name}-2", write.events) == where and write.stream.id == f"retraining-{name}-2":
                struck.set()
                await asyncio.Event().wait()

        setattr(story, f"tell_{when}", strike)
        around = asyncio.create_task(second_version(story, outcome))
        try:
            async with running(story), asyncio.timeout(60):
                await struck.wait()
            story.tell_before = story.tell_after = None
            async with running(story), asyncio.timeout(60):
                await around
        finally:
            await end_tasks(around)
        await assert_right_end(story, outcome)


@pytest.mark.parametrize("case", SAMPLE, ids="-".join)
async def test_a_seeded_sample_of_the_boundaries(log_url, case):
    await crash_case(log_url, f"sample{SAMPLE.index(case)}", *case)


@pytest.mark.matrix
@pytest.mark.parametrize("case", MATRIX, ids="-".join)
async def test_every_boundary(log_url, case):
    await crash_case(log_url, f"matrix{MATRIX.index(case)}", *case)


@pytest.mark.parametrize("outcome", STORIES)
async def test_the_matrix_is_complete(log_url, outcome):
    """An undisturbed run writes at every boundary of its story, in that order, and nowhere else."""
    async with open_core(log_url) as core:
        story, written = ModelStory(core, f"count-{outcome.replace('_', '-')}"), []

        async def note(write):
            if write.stream.id == f"retraining-{story.name}-2" and write.events:
                written.append(boundary(f"{story.name}-2", write.events))

        story.tell_after = note
        await story.register()
        async with running(story):
            await story.trained_first(TREE)
            await second_version(story, outcome)
    assert tuple(written) == STORIES[outcome]
