"""Every event boundary of the deployment saga, hit with kill -9.

Six stories (a plain rollout of a good release and of a sick one, a canary that is promoted and one that is wrong, a
rolling update, blue/green), every write of the saga, right before and right after it, and four victims: the saga's
process, nats-server, PostgreSQL, the process host. Whatever is hit wherever: the deployment ends completed or exactly
undone, the traffic goes where the outcome says, no process is left over, nothing was started twice, no effect is
open, every verdict can be computed again, and the log is intact.
"""

import asyncio
import contextlib
import os
import random
from collections import Counter
from contextlib import ExitStack
from itertools import groupby

import pytest

from eventstore.envelope import StreamId
from eventstore.errors import LogUnavailable
from sagacity.wiring import open_core
from sagas.targets.port import TargetUnavailable
from tests.crash.boundaries import boundary
from tests.crash.ending import assert_log_intact, assert_right_end, assert_right_traffic
from tests.crash.platform import command, eventually, folded, has_ended, prepare, request
from tests.crash.stories import ANALYSIS, STORIES, Story
from tests.crash.visitors import answers_of, visiting

VICTIMS = ("saga", "nats", "postgres", "host")
MATRIX = [
    (story, victim, when, where)
    for story, told in STORIES.items()
    for victim in VICTIMS
    for when in ("before", "after")
    for where in told.boundaries
]
SEED = int(os.environ.get("SAGACITY_CRASH_SEED", "20261121"))
random.Random(SEED).shuffle(MATRIX)
CANARIES = ("promoted", "wrong")
PLAIN = ("good", "sick", "rolling", "blue_green")
SAMPLE = [
    next(case for case in MATRIX if case[:2] == (stories[(number + SEED) % len(stories)], victim))
    for number, victim in enumerate(VICTIMS)
    for stories in [(PLAIN, CANARIES)[(number + SEED) % 2]]
]
"""One for each victim, every other one a canary."""


async def crash_case(platform, case, story, victim, when, where):
    """Roll out an old version, then hit the rollout of the story's."""
    sagas = platform.saga_process(when, where, f"{case}-d2", platform.pid(victim))
    try:
        async with open_core(platform.servers.url) as core:
            front = await old_version(core, platform, case, story)
            with ExitStack() as watching:
                dogs = {name: watching.enter_context(dog) for name, dog in platform.watchdogs().items()}
                async with visiting(core, front.port, f"{case}-d2"):
                    await request(core, case, f"{case}-d2", story)
                    await eventually(lambda: _is_hit(victim, sagas, dogs))
                    sagas = platform.saga_process() if victim == "saga" else sagas
                    await eventually(lambda: has_ended(core, f"{case}-d2"))
                await eventually(lambda: _at_rest(core, platform, case, story, dogs["host"].restarts))
            assert {name: dog.restarts for name, dog in dogs.items()} == {name: name == victim for name in dogs}
            await platform.read_model_agrees(core, f"{case}-d2", story.outcome)
    finally:
        sagas.end()
        await platform.clean_up(case)


async def undisturbed(core, platform, case, story):
    """The boundaries at which the story is written, in order."""
    try:
        front = await old_version(core, platform, case, story)
        async with visiting(core, front.port, f"{case}-d2"):
            await request(core, case, f"{case}-d2", story)
            await eventually(lambda: has_ended(core, f"{case}-d2"))
        await eventually(lambda: _at_rest(core, platform, case, story))
        return await _boundaries(core, f"{case}-d2")
    finally:
        await platform.clean_up(case)


async def old_version(core, platform, case, story):
    """Its front, when it is live."""
    await prepare(core, platform, case)
    await request(core, case, f"{case}-d1", Story("old", "completed", (), instances=story.instances))
    await eventually(lambda: has_ended(core, f"{case}-d1"))
    return await platform.target.front(f"e{case}--s{case}")


async def _is_hit(victim, sagas, dogs):
    """The blow may be the very last thing: whoever looks too early sees the victim still standing."""
    return sagas.is_dead if victim == "saga" else dogs[victim].restarts > 0


async def _at_rest(core, platform, case, story, host_restarts=0):
    """The outcome is on the record; whatever of it is still under way is given a moment."""
    try:
        await assert_right_end(core, platform, case, story, host_restarts)
        await assert_right_traffic(core, platform, case)
    except (AssertionError, TargetUnavailable, LogUnavailable, OSError):
        return False
    return True


def assert_in_order(story, written):
    """Each boundary once; that of a look as often as it takes, and those of a step again that was tried again."""
    retried = {name.removeprefix("retried ") for name in written if name.startswith("retried ")}
    names = [name for name in written if not name.startswith("retried ")]
    again = {name for name, times in Counter(names).items() if times > 1 and not name.endswith(" continue")}
    assert not {name for name in again if not retried & set(name.replace(";", "").split())}
    assert tuple(dict.fromkeys(names)) == story.boundaries


async def _boundaries(core, id):
    """Of everything that the saga has written, in order: what is written at once has the same time."""
    saga = await core.store.load(StreamId("saga", f"deployment-{id}"), latest=True)
    verdicts = await core.store.load(StreamId("deployment", id), latest=True)
    written = sorted([*saga, *verdicts], key=lambda event: event.position)
    writes = groupby(written, key=lambda event: event.time)
    named = (boundary(id, [core.store.decode(event) for event in events]) for _, events in writes)
    return [name for name in named if name]


def _name(case):
    return "-".join(case).replace(" ", "_").replace(";", "")


@pytest.mark.timeout(120)
@pytest.mark.parametrize("case", SAMPLE, ids=_name)
async def test_a_seeded_sample_of_the_matrix(platform, case):
    story, victim, when, where = case
    await crash_case(platform, f"sample{SAMPLE.index(case)}", STORIES[story], victim, when, where)


@pytest.mark.matrix
@pytest.mark.timeout(120)
@pytest.mark.parametrize("case", MATRIX, ids=_name)
async def test_every_event_boundary(platform, case):
    story, victim, when, where = case
    await crash_case(platform, f"matrix{MATRIX.index(case)}", STORIES[story], victim, when, where)


@pytest.mark.timeout(120)
async def test_the_matrix_is_complete(platform):
    """An undisturbed run writes at every boundary of its story, in that order, and nowhere else."""
    sagas = platform.saga_process()
    try:
        async with open_core(platform.servers.url) as core:
            runs = (undisturbed(core, platform, f"count{name}", story) for name, story in STORIES.items())
            for story, written in zip(STORIES.values(), await asyncio.gather(*runs), strict=True):
                assert_in_order(story, written)
            await assert_log_intact(core)
    finally:
        sagas.end()


@pytest.mark.timeout(120)
async def test_a_host_killed_while_a_canary_waits_at_a_gate_splits_as_is_written(platform):
    """Weights, and who answers real requests: before, and again when the host is back; then a person lets it go on."""
    steps = [{"weight": 10, "requests": 0, "gate": True}]
    gated = Story("good", "completed", (), {"kind": "canary", "steps": steps, "analysis": ANALYSIS})
    sagas = platform.saga_process()
    try:
        async with open_core(platform.servers.url) as core:
            await old_version(core, platform, "gate", gated)
            await request(core, "gate", "gate-d2", gated)
            await eventually(lambda: _waits(core, "gate-d2"))
            before = await platform.target.front("egate--sgate")
            split = {(200, "gate-old"): 90, (200, "gate-good"): 10}
            await eventually(lambda: _answers(before.port, split))
            with platform.watchdogs()["host"] as dog:
                platform.host.kill()
                await eventually(lambda: _is_back(platform, dog))
            await eventually(lambda: _has_front(platform, before))
            await eventually(lambda: _answers(before.port, split))
            await command(core, "deployment.approve", "gate-d2", {})
            await eventually(lambda: has_ended(core, "gate-d2"))
            await eventually(lambda: _at_rest(core, platform, "gate", gated, dog.restarts))
    finally:
        sagas.end()
        await platform.clean_up("gate")


async def _waits(core, id):
    state = await folded(core, "deployment", id)
    return state.watch is not None and state.watch.decision == "await_approval"


async def _is_back(platform, dog):
    with contextlib.suppress(TargetUnavailable):
        return dog.restarts > 0 and await platform.target.inventory() is not None
    return False


async def _has_front(platform, front):
    with contextlib.suppress(TargetUnavailable):
        return await platform.target.front("egate--sgate") == front
    return False


async def _answers(port, expected):
    """A release that is still starting sends its part to the others for a moment."""
    return await answers_of(port, 100) == expected
