"""Every event boundary of a workflow that mixes all patterns, hit with kill -9: the process of the engine, nats-server,
and PostgreSQL while a projector fills its tables; and the worker that does a part of the skills, in the middle of each
of its calls. Whatever is hit wherever: the right result, nothing that is on record done again, every effect under its
one key, the log intact, and the read model of what it says.
"""

import asyncio
import os
import random
from contextlib import suppress
from typing import NamedTuple

import pytest

from domain import workflow
from eventstore.envelope import StreamId
from eventstore.errors import LogUnavailable
from sagacity.initialising import initialise_server
from sagacity.wiring import open_core
from tests.crash.platform import command, eventually, folded
from tests.crash.workflow_ending import assert_read_model, assert_right_end, is_projected
from tests.crash.workflow_platform import WorkflowPlatform, is_at_rest, is_served, prepare
from tests.crash.workflow_story import INPUT, REMOTE, TOLD
from tests.crash.workflow_worker import STAGES, released
from tests.eventstore.servers import Servers

VICTIMS = ("engine", "worker", "nats", "postgres")
BY_OTHERS = {("run", "started"), ("run", "approved approved")}
"""What people say is written by the process that hears it."""
BOUNDARIES = [each for each in dict.fromkeys(TOLD.events) if each not in BY_OTHERS]
MATRIX = [
    *((victim, when, *each) for victim in ("engine", "nats") for when in ("before", "after") for each in BOUNDARIES),
    *(("postgres", "after", *each) for each in BOUNDARIES),
    *(
        ("worker", stage, *call.rsplit("-", 1))
        for call, skill in TOLD.calls.items()
        if skill in REMOTE
        for stage in STAGES
    ),
]
"""(victim, when, run, where); of the worker: its stage, and the number of the call."""
SEED = int(os.environ.get("SAGACITY_CRASH_SEED", "20261121"))
random.Random(SEED).shuffle(MATRIX)
SAMPLE = [next(case for case in MATRIX if case[0] == victim) for victim in VICTIMS]


@pytest.fixture(scope="module")
def workflows(tmp_path_factory):
    servers = Servers(1)
    servers.start()
    asyncio.run(initialise_server(servers.url))
    platform = WorkflowPlatform(servers, tmp_path_factory.mktemp("workflows"))
    try:
        yield platform
    finally:
        platform.stop()
        servers.stop()


class Case(NamedTuple):
    """`id`: the first word of all its names."""

    id: str
    victim: str
    when: str
    run: str
    where: str


async def crash_case(platform, case):
    in_engine, in_worker = wounds(platform, case)
    processes = {"engine": platform.engine(case.id, *in_engine), "worker": platform.worker(case.id, *in_worker)}
    try:
        async with open_core(platform.servers.url) as core:
            await prepare(core, platform, case.id)
            await eventually(lambda: is_served(core, case.id))
            if case.victim == "postgres":
                await eventually(lambda: is_projected(core, platform))
            await hit_and_ended(core, platform, case, processes, in_worker)
            assert await is_served(core, case.id), "where workers say that they are there outlives every victim"
            await assert_right_end(core, platform, case.id)
            if case.victim == "worker":
                begun = [call for call, *_ in platform.lines(case.id)].count(f"{case.id}-{case.run}-{case.where}")
                assert begun == (2 if case.when == "done" else 1), "again only where its result was not on record"
            if case.victim == "postgres":
                await assert_read_model(core, platform, case.id)
    finally:
        for process in processes.values():
            process.end()


async def hit_and_ended(core, platform, case, processes, in_worker):
    """Until nothing is under way any more; what was killed has come back, and nothing else had to."""
    run = f"{case.id}-run"
    with platform.watched() as dogs:
        await command(core, "workflow.start", run, {"definition": f"{case.id}-mixed", "input": INPUT})
        approving = asyncio.create_task(approve(core, run))
        await eventually(lambda: is_hit(case.victim, processes, dogs), 60)
        if in_worker[:1] == ("held",):
            released(platform.ledger, in_worker[1]).touch()
        if case.victim in processes:
            processes[case.victim] = getattr(platform, case.victim)(case.id)
        await approving
        await eventually(lambda: has_ended(core, run), 60)
        await eventually(lambda: is_at_rest(core, case.id))
    assert {name: dog.restarts for name, dog in dogs.items()} == {name: name == case.victim for name in dogs}


def wounds(platform, case):
    """(of the engine's process, of the worker's). A call whose lease is the boundary is held until the blow: with its
    result at hand, nobody would write down that it was leased."""
    run = f"{case.id}-{case.run}"
    if case.victim == "worker":
        return (), (case.when, f"{run}-{case.where}")
    what, _, call = case.where.partition(" ")
    in_engine = case.when, case.where, run, platform.pid(case.victim)
    return in_engine, (("held", f"{run}-{call}") if what == "leased" else ())


async def is_hit(victim, processes, dogs):
    return processes[victim].is_dead if victim in processes else dogs[victim].restarts == 1


async def approve(core, run):
    """A person who waits to be asked."""

    async def is_asked():
        with suppress(LogUnavailable):
            events = await core.store.load(StreamId("workflow", run), latest=True)
            data = [core.store.decode(event) for event in events if event.type == "workflow.step_started"]
            return any(each.question for each in data)
        return False

    await eventually(is_asked, 60)
    await command(core, "workflow.approve", run, {"step": "approved"})


async def has_ended(core, id):
    with suppress(LogUnavailable):
        return isinstance(await folded(core, "workflow", id), workflow.Ended)
    return False


def _name(case):
    return "-".join(case).replace(" ", "_")


@pytest.mark.timeout(120)
@pytest.mark.parametrize("case", SAMPLE, ids=_name)
async def test_a_workflow_that_is_hit_ends_as_it_would_have(workflows, case):
    await crash_case(workflows, Case(f"sample{MATRIX.index(case)}", *case))


@pytest.mark.matrix
@pytest.mark.timeout(120)
@pytest.mark.parametrize("case", [case for case in MATRIX if case not in SAMPLE], ids=_name)
async def test_every_event_boundary(workflows, case):
    await crash_case(workflows, Case(f"matrix{MATRIX.index(case)}", *case))
