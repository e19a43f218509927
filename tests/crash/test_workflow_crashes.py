"""Every event boundary of a workflow that mixes all patterns, hit with kill -9: the process of the engine, and
nats-server. Whatever is hit wherever: the right result, nothing that is on the record done again, every effect under
its one key, and the log intact.
"""

import asyncio
import os
import random
import re
import subprocess
import sys
from collections import Counter
from contextlib import suppress

import msgspec
import pytest

from domain import workflow
from eventstore.envelope import StreamId
from eventstore.errors import LogUnavailable
from sagacity.initialising import initialise_server
from sagacity.wiring import open_core
from sagacity.workflow_work import register_skills
from tests.crash.ending import assert_log_intact
from tests.crash.platform import SagaProcess, command, eventually, folded
from tests.crash.watchdog import Watchdog
from tests.crash.workflow_process import skills
from tests.crash.workflow_story import DEFINITIONS, INPUT, RESULT, TOLD
from tests.eventstore.servers import Servers

VICTIMS = ("engine", "nats")
BY_OTHERS = {("run", "started"), ("run", "approved approved")}
"""What people say is written by the process that hears it."""
BOUNDARIES = [each for each in dict.fromkeys(TOLD.events) if each not in BY_OTHERS]
MATRIX = [
    (victim, when, stream, where) for victim in VICTIMS for when in ("before", "after") for stream, where in BOUNDARIES
]
SEED = int(os.environ.get("SAGACITY_CRASH_SEED", "20261121"))
random.Random(SEED).shuffle(MATRIX)
SAMPLE = 3


class Engines:
    """Processes of the engine, on one log."""

    def __init__(self, servers, ledger):
        self.servers, self.ledger = servers, ledger
        self.forks = subprocess.Popen(
            [sys.executable, "-m", "tests.crash.workflow_process"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )

    def stop(self):
        self.forks.terminate()
        self.forks.wait()

    def process(self, case, *wound):
        arguments = [self.servers.url, case, str(self.ledger), *map(str, wound)]
        self.forks.stdin.write(msgspec.json.encode(arguments) + b"\n")
        self.forks.stdin.flush()
        return SagaProcess(int(self.forks.stdout.readline()))

    @property
    def pid_of_nats(self):
        return self.servers.nodes[0]._process.pid

    def watching_nats(self):
        node = self.servers.nodes[0]
        return Watchdog(lambda: node._process.poll() is not None, node.start)

    def lines(self, case):
        """(call, attempt, when it was begun), of all that was ever begun."""
        lines = [line.split() for line in self.ledger.read_text().splitlines()]
        return [(call, int(attempt), float(at)) for call, attempt, at in lines if call.startswith(f"{case}-")]


@pytest.fixture(scope="module")
def engines(tmp_path_factory):
    servers = Servers(1)
    servers.start()
    asyncio.run(initialise_server(servers.url))
    ledger = tmp_path_factory.mktemp("workflows") / "ledger"
    ledger.touch()
    engines = Engines(servers, ledger)
    try:
        yield engines
    finally:
        engines.stop()
        servers.stop()


def named(case, document):
    """With the names of this case alone: the log is shared."""
    text = msgspec.json.encode(document).decode()
    for key in ("skill", "workflow"):
        text = re.sub(rf'"{key}":"(\w+)"', rf'"{key}":"{case}-\1"', text)
    return msgspec.json.decode(text)


async def prepare(core, case, ledger):
    await register_skills(core, skills(case, str(ledger)))
    for name, steps in DEFINITIONS.items():
        definition = {"steps": named(case, steps)}
        await command(core, "workflow_definition.publish", f"{case}-{name}", {"definition": definition})


async def crash_case(engines, case, victim, when, stream, where):
    stream = stream.replace("run", f"{case}-run", 1)
    async with open_core(engines.servers.url) as core:
        await prepare(core, case, engines.ledger)
        target = "self" if victim == "engine" else engines.pid_of_nats
        process = engines.process(case, when, where, stream, target)
        try:
            with engines.watching_nats() as nats:
                await command(core, "workflow.start", f"{case}-run", {"definition": f"{case}-mixed", "input": INPUT})
                approving = asyncio.create_task(approve(core, case))
                await eventually(lambda: _is(process.is_dead if victim == "engine" else nats.restarts == 1), 60)
                if victim == "engine":
                    process = engines.process(case)
                await approving
                await eventually(lambda: has_ended(core, f"{case}-run"), 60)
                assert nats.restarts == (victim == "nats")
        finally:
            process.end()
        await assert_right_end(core, engines, case)


async def approve(core, case):
    """A person who waits to be asked."""

    async def is_asked():
        with suppress(LogUnavailable):
            events = await core.store.load(StreamId("workflow", f"{case}-run"), latest=True)
            data = [core.store.decode(event) for event in events if event.type == "workflow.step_started"]
            return any(each.question for each in data)
        return False

    await eventually(is_asked, 60)
    await command(core, "workflow.approve", f"{case}-run", {"step": "approved"})


async def has_ended(core, id):
    with suppress(LogUnavailable):
        return isinstance(await folded(core, "workflow", id), workflow.Ended)
    return False


async def assert_right_end(core, engines, case):
    ended = await folded(core, "workflow", f"{case}-run")
    assert (ended.outcome, ended.output.inline) == ("completed", RESULT)
    recorded = await ends_of_calls(core, case)
    assert max(Counter(call for call, _ in recorded).values()) == 1, "one result of each call"
    done = engines.lines(case)
    expected = {id.replace("run", f"{case}-run", 1) for id in TOLD.calls}
    assert {call for call, *_ in done} == expected, "every effect under the key that it has without a crash"
    ends = dict(recorded)
    again = [(call, attempt) for call, attempt, at in done if at > ends[call]]
    assert again == [], "what is on the record was done again"
    await assert_log_intact(core)


async def ends_of_calls(core, case):
    """(call, when its end was decided), of the run and of what it has asked for."""
    events = [
        event
        for run in (f"{case}-run", f"{case}-run-22", f"{case}-run-27")
        for event in await core.store.load(StreamId("workflow", run), latest=True)
    ]
    return [
        (core.store.decode(event).call, event.time.timestamp())
        for event in events
        if event.type in ("workflow.succeeded", "workflow.failed_attempt")
    ]


async def _is(fact):
    return fact


def _name(case):
    return "-".join(case).replace(" ", "_")


@pytest.mark.timeout(120)
@pytest.mark.parametrize("case", MATRIX[:SAMPLE], ids=_name)
async def test_a_workflow_that_is_hit_ends_as_it_would_have(engines, case):
    await crash_case(engines, f"sample{MATRIX.index(case)}", *case)


@pytest.mark.matrix
@pytest.mark.timeout(120)
@pytest.mark.parametrize("case", MATRIX[SAMPLE:], ids=_name)
async def test_every_event_boundary(engines, case):
    await crash_case(engines, f"matrix{MATRIX.index(case)}", *case)
