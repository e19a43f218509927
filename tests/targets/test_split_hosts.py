"""A front of a real host that is split over several releases: live, measured, and as written after every crash."""

import asyncio
import contextlib
import json
import os
import signal
from collections import Counter
from collections.abc import AsyncIterator

import pytest

from domain.measurement import Reading
from sagas.targets.port import Release, TargetUnavailable, TargetUnreachable
from sagas.targets.process import client, ledger
from sagas.targets.process.fronts import Fronts
from sagas.targets.process.ledger import HostState, Start, Switch
from sagas.targets.splitter.builtin import BuiltinSplitter
from tests.targets.arms import ArmServer, free_port
from tests.targets.fast_load import Visitor, ask_often
from tests.targets.hosts import Host, Load, browser, deploy, until

SPLIT = {"stable-start": 80, "baseline-start": 10, "canary-start": 10}


async def three(host: Host, *canary: str) -> str:
    for name, options in {"stable": (), "baseline": (), "canary": canary}.items():
        await deploy(host, name, *options, front=None)
    return await host.target.switch("split", "front", SPLIT, "X-User", "X-User")


async def answered(url: str, count: int = 100) -> Counter[str]:
    answers = await ask_often(int(url.rpartition(":")[2]), count, clients=4)
    assert {answer.status for answer in answers} == {200}
    return Counter(answer.body for answer in answers)


async def test_a_host_that_was_killed_splits_as_is_written(new_host):
    host = new_host().start()
    url = await three(host)
    assert await answered(url) == {"stable": 80, "baseline": 10, "canary": 10}
    before = await host.target.measure("front")
    async with Load(url, clients=2) as load:

        async def everywhere() -> bool:
            return len(load.answers) == 3

        await until(everywhere)
        host.kill()
        host.start()
    assert (await host.target.front("front")).weights == SPLIT
    assert (await host.target.front("front")).url == url
    after = await host.target.measure("front")
    assert after.epoch != before.epoch
    assert list(after.arms) == list(SPLIT)
    assert await answered(url) == {"stable": 80, "baseline": 10, "canary": 10}
    placed = [await _arm_of(url, f"user-{number % 20}") for number in range(40)]
    assert placed[:20] == placed[20:]
    await host.target.switch("on", "front", {"canary-start": 1})
    host.kill()
    host.start()
    assert await answered(url) == {"canary": 100}
    await host.target.switch_back("on")
    assert await answered(url) == {"stable": 80, "baseline": 10, "canary": 10}


async def _arm_of(url: str, user: str) -> str:
    with contextlib.closing(Visitor(int(url.rpartition(":")[2]))) as visitor:
        return (await visitor.ask(headers={"X-User": user})).body


async def test_every_arm_is_measured_by_its_start_key(new_host):
    host = new_host().start()
    url = await three(host, "--sick")
    assert await host.target.measure("nowhere") == Reading("")
    async with browser() as session:
        for _ in range(10):
            async with session.get(f"{url}/health") as answer:
                await answer.read()

    async def counted() -> bool:
        return sum(arm.requests for arm in (await host.target.measure("front")).arms.values()) == 10

    await until(counted)
    arms = (await host.target.measure("front")).arms
    assert {key: arm.requests for key, arm in arms.items()} == {
        "stable-start": 8,
        "baseline-start": 1,
        "canary-start": 1,
    }
    assert (arms["canary-start"].errors, arms["canary-start"].patterns) == (1, {"500 GET /health": 1})
    assert arms["stable-start"].errors == arms["baseline-start"].errors == 0
    assert {run.start_key: (run.requests, run.errors) for run in await host.target.inventory()} == {
        key: (arm.requests, arm.errors) for key, arm in arms.items()
    }


async def test_a_release_that_ends_leaves_its_part_to_the_others(new_host):
    host = new_host().start()
    url = await three(host)
    async with Load(url) as load:

        async def everywhere() -> bool:
            return len(load.answers) == 3

        await until(everywhere)
        await host.target.retire("retire", "canary-start")
        load.answers.clear()

        async def without() -> bool:
            return sum(load.answers.values()) > 100

        await until(without)
        assert set(load.answers) <= {"stable", "baseline"}
        await host.target.unretire("retire")
        await until(everywhere)
    assert load.failed == []
    assert await answered(url) == {"stable": 80, "baseline": 10, "canary": 10}
    for key in SPLIT:
        await host.target.stop(key)
    assert {answer.status for answer in await ask_often(int(url.rpartition(":")[2]), 3)} == {503}
    assert (await host.target.front("front")).weights == SPLIT


async def test_weights_that_change_without_pause_cost_no_request(new_host):
    host = new_host().start()
    url = await three(host)
    async with Load(url) as load:
        for number in range(40):
            share = number % 20 * 5
            await host.target.switch(f"n{number}", "front", {"stable-start": 100 - share, "canary-start": share or 1})

        async def enough() -> bool:
            return sum(load.answers.values()) > 300

        await until(enough)
    assert load.failed == []


def written_before_fronts_were_split(port: int) -> bytes:
    """A state as the first hosts wrote it."""
    shop = {"program": "shop", "arguments": [], "environment": {}, "health_path": "/health", "working_directory": None}
    start = {"type": "start", "allocation": "a", "release": shop}
    kept = {"state": "kept", "port": None, "url": None, "previous": None}
    return json.dumps(
        {
            "entries": {
                "a": {"phase": "kept", "operation": {"type": "allocate"}, "answer": {**kept, "port": 20_001}},
                "s": {"phase": "kept", "operation": start, "answer": {**kept, "port": 20_001, "url": "http://s"}},
                "w": {
                    "phase": "kept",
                    "operation": {"type": "switch", "front": "front", "to": "s"},
                    "answer": {**kept, "url": "http://front"},
                },
            },
            "wanted": ["s"],
            "fronts": {"front": {"port": port, "switches": [{"key": "w", "to": "s"}]}},
        }
    ).encode()


async def test_a_state_written_before_fronts_were_split_is_still_in_force(new_host):
    host = new_host()
    host.data.mkdir()
    port = free_port()
    (host.data / "state.json").write_bytes(written_before_fronts_were_split(port).replace(b'"shop"', b'"sleep"'))
    host.start()
    front = await host.target.front("front")
    assert (front.port, front.weights) == (port, {"s": 1})
    assert list((await host.target.measure("front")).arms) == ["s"]
    assert await host.target.switch("w", "front", {"s": 100}) == "http://front"
    await deploy(host, "new")
    assert (await host.target.effect("new-switch")).previous == "s"
    await host.target.switch_back("new-switch")
    await host.target.switch_back("w")
    assert (await host.target.front("front")).weights == {}


class Fragile(BuiltinSplitter):
    """A splitter that can be lost, and that then does not start `refusals` times."""

    refusals = 0

    def __init__(self) -> None:
        super().__init__()
        self._gone = asyncio.Event()

    async def start(self) -> None:
        if self.refusals:
            self.refusals -= 1
            raise OSError("not yet")
        self._gone.clear()
        await super().start()

    async def lost(self) -> None:
        await self._gone.wait()

    async def lose(self) -> None:
        """With everything it had."""
        await self.stop()
        self._gone.set()


def split_state(port: int, *arms: ArmServer) -> HostState:
    state = HostState()
    for arm in arms:
        state = ledger.allocated(state, f"{arm.name}-allocate", arm.port)
        state = ledger.starting(state, arm.name, Start(f"{arm.name}-allocate", Release("arm")))
        state = ledger.started(state, arm.name, "http://arm")
    weights = {arm.name: number for number, arm in enumerate(arms, 1)}
    return ledger.switched(state, "switch", Switch("front", weights), port, "http://front")


@pytest.fixture
async def pair() -> AsyncIterator[tuple[ArmServer, ArmServer]]:
    arms = await ArmServer("a").start(), await ArmServer("b").start()
    yield arms
    for arm in arms:
        arm.stop()


async def test_a_splitter_that_was_lost_alone_splits_again_as_is_written(pair: tuple[ArmServer, ArmServer]):
    port, splitter = free_port(), Fragile()
    state = split_state(port, *pair)
    fronts = Fronts(splitter, "127.0.0.1", lambda: state)
    async with fronts.running():
        await fronts.open("front", port)
        await fronts.follow()
        assert Counter(answer.body for answer in await ask_often(port, 30)) == {"a": 10, "b": 20}
        epoch = (await fronts.reading("front")).epoch
        splitter.refusals = 3
        await splitter.lose()
        with pytest.raises(TargetUnavailable):
            await fronts.reading("front")

        async def being_restarted() -> bool:
            return splitter.refusals < 3

        await until(being_restarted)
        with pytest.raises(TargetUnavailable, match="started again"):
            await fronts.follow()
        state = ledger.switched(state, "on", Switch("front", {"b": 1}), port, "http://front")

        async def back() -> bool:
            return {answer.status for answer in await ask_often(port, 1)} == {200}

        await until(back)
        assert Counter(answer.body for answer in await ask_often(port, 30)) == {"b": 30}
        await fronts.follow()
        assert (await fronts.reading("front")).epoch != epoch


async def test_what_has_no_host_or_loses_it_is_unreachable(new_host):
    host = new_host()
    with pytest.raises(TargetUnreachable):
        await host.target.inventory()
    host.start()
    await host.target.allocate("a")
    host.kill()
    with pytest.raises(TargetUnreachable):
        await host.target.inventory()


async def test_a_connection_that_breaks_before_the_answer_is_unreachable(new_host):
    host = new_host().start("-m", "tests.targets.dying_host", "before", "1")
    with pytest.raises(TargetUnreachable):
        await host.target.allocate("a")


async def test_a_host_that_is_there_and_does_not_answer_is_unavailable_only(new_host, monkeypatch: pytest.MonkeyPatch):
    host = new_host().start()
    monkeypatch.setattr(client, "_TIMEOUT", client.aiohttp.ClientTimeout(total=0.3, connect=0.2))
    os.kill(host.process.pid, signal.SIGSTOP)
    try:
        with pytest.raises(TargetUnavailable) as raised:
            await host.target.inventory()
        assert not isinstance(raised.value, TargetUnreachable)
    finally:
        os.kill(host.process.pid, signal.SIGCONT)


async def test_a_host_tells_an_unknown_splitter(new_host):
    host = new_host().begin(SAGACITY_SPLITTER="carrier-pigeon")
    assert host.process.wait(10) == 2
    assert "SAGACITY_SPLITTER is 'carrier-pigeon'" in host.output.read_text()
