"""Every event boundary of the retraining saga, hit with kill -9: the saga's process, in the midst of real trainings,
and nats-server. Whatever is hit wherever: the experiment ends as it would have, the right version is in use, the model
is free for the next training, nothing happened twice, and no training process is left.
"""

import asyncio
import os
import random
import subprocess
import sys

import msgspec
import pytest

from eventstore.tasks import end_tasks
from sagacity.initialising import initialise_server
from sagacity.wiring import open_core
from tests.crash.ending import assert_log_intact
from tests.crash.platform import SagaProcess, eventually
from tests.crash.watchdog import Watchdog
from tests.eventstore.servers import Servers
from tests.sagas.model_story import TREE, ModelStory, running, trainings_of
from tests.sagas.retraining_stories import STORIES, assert_right_end, second_version

VICTIMS = ("saga", "nats")
MATRIX = [
    (story, victim, when, where)
    for story, boundaries in STORIES.items()
    for victim in VICTIMS
    for when in ("before", "after")
    for where in boundaries
]
SEED = int(os.environ.get("SAGACITY_CRASH_SEED", "20261121"))
random.Random(SEED).shuffle(MATRIX)
AFTER_WORK = ("discarded", "saga", "before", "kept train; done train")
"""A training is done, and nobody has written down that it is."""


class Workers:
    """Saga processes on one log."""

    def __init__(self, servers: Servers) -> None:
        self.servers = servers
        self.forks = subprocess.Popen(
            [sys.executable, "-m", "tests.crash.retraining_process"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )

    def stop(self) -> None:
        self.forks.terminate()
        self.forks.wait()

    def saga_process(self, *wound: object) -> SagaProcess:
        self.forks.stdin.write(msgspec.json.encode([self.servers.url, *map(str, wound)]) + b"\n")
        self.forks.stdin.flush()
        return SagaProcess(int(self.forks.stdout.readline()))

    @property
    def pid_of_nats(self) -> int:
        return self.servers.nodes[0]._process.pid

    def watching_nats(self) -> Watchdog:
        node = self.servers.nodes[0]
        return Watchdog(lambda: node._process.poll() is not None, node.start)


@pytest.fixture(scope="module")
def workers():
    servers = Servers(1)
    servers.start()
    asyncio.run(initialise_server(servers.url))
    workers = Workers(servers)
    try:
        yield workers
    finally:
        workers.stop()
        servers.stop()


async def crash_case(workers, name, outcome, victim, when, where):
    async with open_core(workers.servers.url) as core:
        story = ModelStory(core, name)
        await story.register()
        async with running(story):
            await story.trained_first(TREE)
        process = workers.saga_process(when, where, f"{name}-2", "self" if victim == "saga" else workers.pid_of_nats)
        around = asyncio.create_task(second_version(story, outcome))
        try:
            with workers.watching_nats() as nats:
                await eventually(lambda: _is(process.is_dead if victim == "saga" else nats.restarts == 1), 90)
                if victim == "saga":
                    await eventually(lambda: _is(not trainings_of(process.pid)))
                    process = workers.saga_process()
                await asyncio.wait_for(around, 90)
                assert nats.restarts == (victim == "nats")
        finally:
            process.end()
            await end_tasks(around)
        await assert_right_end(story, outcome)
        assert trainings_of(process.pid) == []
        await assert_log_intact(core)


async def _is(fact):
    return fact


def _name(case):
    return "-".join(case).replace(" ", "_").replace(";", "")


@pytest.mark.timeout(240)
async def test_a_saga_that_dies_with_a_training_in_hand_trains_again(workers):
    await crash_case(workers, "in-hand", *AFTER_WORK)


@pytest.mark.matrix
@pytest.mark.timeout(240)
@pytest.mark.parametrize("case", MATRIX, ids=_name)
async def test_every_event_boundary(workers, case):
    await crash_case(workers, f"matrix{MATRIX.index(case)}", *case)
