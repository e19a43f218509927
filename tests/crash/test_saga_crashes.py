"""Every event boundary of the deployment saga, hit with kill -9.

Two stories (a good release, a sick one), every write of a saga event, right before and right after it, and three
victims: the saga's process, nats-server, PostgreSQL. Whatever is hit wherever: the deployment ends completed or
exactly undone, no process is left over, nothing was started twice, no effect is open, and the log is intact.
"""

import asyncio
import os
import random
import signal
import threading

import pytest

from sagacity.wiring import initialise_server, open_core
from tests.crash.platform import (
    Platform,
    assert_log_intact,
    assert_right_end,
    eventually,
    has_ended,
    prepare,
    request,
)
from tests.eventstore.servers import Servers

WRITES = {"good": 14, "sick": 12}
"""Writes of saga events in each story; `test_the_matrix_is_complete` says when this is no longer true."""

VICTIMS = ("saga", "nats", "postgres")
MATRIX = [
    (version, victim, when, number)
    for version, count in WRITES.items()
    for victim in VICTIMS
    for when in ("before", "after")
    for number in range(1, count + 1)
]
SEED = int(os.environ.get("SAGACITY_CRASH_SEED", "20261121"))
random.Random(SEED).shuffle(MATRIX)
SAMPLE = MATRIX[:8]


@pytest.fixture(scope="module")
def platform(tmp_path_factory):
    servers = Servers(1)
    servers.start()
    asyncio.run(initialise_server(servers.url))
    platform = Platform(servers, tmp_path_factory.mktemp("crash"))
    try:
        platform.start()
        asyncio.run(platform.host_is_up())
        yield platform
    finally:
        platform.stop()
        servers.stop()


class Watchdog:
    """Starts nats-server again when it was killed, as `sagacity up` would."""

    def __init__(self, node):
        self.node = node
        self.restarts = 0
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._over.set()
        self._thread.join()

    def _watch(self):
        while not self._over.wait(0.02):
            if self.node._process.poll() is not None:
                self.restarts += 1
                self.node.start()


async def crash_case(platform, case, version, victim, when, number):
    """Roll out an old version, then hit the rollout of `version`; the outcome."""
    node = platform.servers.nodes[0]
    old, new = f"{case}-d1", f"{case}-d2"
    healthy = platform.saga_process()
    async with open_core(platform.servers.url) as core:
        await prepare(core, platform, case)
        await request(core, case, old, "old")
        await eventually(lambda: has_ended(core, old))
        _end(healthy, signal.SIGTERM)
        target = {"saga": "self", "nats": node._process.pid, "postgres": platform.postgres.pid}[victim]
        wounded = platform.saga_process(when, number, target)
        try:
            with Watchdog(node) as watchdog, platform.postgres_watched() as postgres_restarts:
                await request(core, case, new, version)
                if victim == "saga":
                    await eventually(lambda: _dead(wounded))
                    wounded = platform.saga_process()
                else:
                    await eventually(lambda: _risen(watchdog.restarts or postgres_restarts))
                await eventually(lambda: has_ended(core, new))
                await eventually(lambda: _at_rest(core, platform, case, new, old))
            outcome = await assert_right_end(core, platform, case, new, old)
            assert watchdog.restarts == (victim == "nats")
            assert len(postgres_restarts) == (victim == "postgres")
            await platform.read_model_agrees(core, new, outcome)
            return outcome
        finally:
            _end(wounded, signal.SIGTERM)


async def _dead(process):
    return process.poll() is not None


async def _risen(restarts):
    """The blow may be the very last thing: whoever looks too early sees the victim still standing."""
    return bool(restarts)


async def _at_rest(core, platform, case, new, old):
    """The outcome is on the record; whatever of it is still under way is given a moment."""
    try:
        await assert_right_end(core, platform, case, new, old)
    except AssertionError:
        return False
    return True


def _end(process, number):
    if process.poll() is None:
        process.send_signal(number)
    process.wait(20)


def _name(case):
    version, victim, when, number = case
    return f"{version}-{victim}-{when}-{number}"


@pytest.mark.timeout(120)
@pytest.mark.parametrize("case", SAMPLE, ids=_name)
async def test_a_seeded_sample_of_the_matrix(platform, case):
    await check(platform, f"sample{SAMPLE.index(case)}", case)


@pytest.mark.matrix
@pytest.mark.timeout(120)
@pytest.mark.parametrize("case", MATRIX, ids=_name)
async def test_every_event_boundary(platform, case):
    await check(platform, f"matrix{MATRIX.index(case)}", case)


async def check(platform, name, case):
    version, victim, when, number = case
    outcome = await crash_case(platform, name, version, victim, when, number)
    assert outcome == {"good": "deployment.completed", "sick": "deployment.rolled_back"}[version]


@pytest.mark.timeout(120)
@pytest.mark.parametrize("version", WRITES)
async def test_the_matrix_is_complete(platform, version):
    """A blow after the last write changes nothing; one write more would not exist."""
    case = f"count-{version}"
    healthy = platform.saga_process()
    try:
        async with open_core(platform.servers.url) as core:
            await prepare(core, platform, case)
            await request(core, case, f"{case}-d1", "old")
            await eventually(lambda: has_ended(core, f"{case}-d1"))
            await request(core, case, f"{case}-d2", version)
            await eventually(lambda: has_ended(core, f"{case}-d2"))
            page = await core.store.read(limit=5_000, category="saga")
            times = {event.time for event in page if event.stream.id == f"deployment-{case}-d2"}
            assert len(times) == WRITES[version]
            await assert_log_intact(core)
    finally:
        _end(healthy, signal.SIGTERM)
