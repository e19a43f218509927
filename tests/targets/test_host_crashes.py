"""The host may be killed at any moment: nothing is left over, nothing happens twice, and it comes back as it was."""

import asyncio
import shutil
import signal
import sys
from pathlib import Path

import pytest

from sagas.targets.port import Release, TargetUnavailable
from tests.targets.hosts import SERVICE, Host, Load, browser, deploy, service, until


async def test_a_killed_host_comes_back_with_the_same_ports_and_releases(new_host):
    """Under traffic: releases die with the host, and afterwards no request fails any more."""
    host = new_host().start()
    await deploy(host, "old")
    url = await deploy(host, "new")
    await host.target.stop("tombstone")
    before = await host.target.inventory()
    async with Load(url, clients=3) as load:

        async def answered() -> bool:
            return load.answers.get("new", 0) > 50

        await until(answered)
        host.kill()
        await until(lambda: _none(host))
        host.start()
        load.answers.clear()
        await until(answered)  # whatever was on its way into the dead host has been answered by now
        load.failed.clear()
        load.answers.clear()
        await until(answered)
        assert load.failed == []
    after = await host.target.inventory()
    assert [(run.start_key, run.port) for run in after] == [(run.start_key, run.port) for run in before]
    assert (await host.target.front("front")).url == url
    assert (await host.target.front("front")).weights == {"new-start": 1}
    assert (await host.target.effect("tombstone")).state == "undone"
    assert len(host.processes()) == 2
    await host.target.switch_back("new-switch")
    async with browser() as session, session.get(url) as answer:
        assert await answer.text() == "old"


async def _none(host: Host) -> bool:
    return not host.processes()


async def test_sigterm_stops_everything_and_the_next_start_brings_it_back(new_host):
    host = new_host().start()
    url = await deploy(host, "a")
    assert host.stop() == 0
    assert host.processes() == []
    host.start()
    async with browser() as session, session.get(url) as answer:
        assert await answer.text() == "a"
    texts = [line.text for line in await host.target.logs("a-start")]
    assert texts.count("a begins") == 2
    assert texts.count("a ends") == 1
    assert [line.number for line in await host.target.logs("a-start")] == list(range(1, len(texts) + 1))


async def test_a_request_in_flight_is_answered_before_the_host_stops(new_host):
    host = new_host().start()
    url = await deploy(host, "a")
    async with browser() as session:
        slow = asyncio.create_task(session.get(f"{url}/slow?seconds=0.7"))
        await asyncio.sleep(0.2)
        assert await asyncio.to_thread(host.stop) == 0
        assert (await slow).status == 200


async def test_children_that_outlived_a_killed_host_are_ended_by_the_next(new_host):
    host = new_host().start()
    await deploy(host, "a", "--child")
    [child] = [pid for line in await host.target.logs("a-start") if (pid := line.text.removeprefix("child ")).isdigit()]
    host.kill()

    async def orphaned() -> bool:
        return host.processes() == [int(child)]

    await until(orphaned)
    host.start()
    assert int(child) not in host.processes()
    assert len(host.processes()) == 2


async def test_a_front_whose_port_was_taken_meanwhile_moves(new_host):
    host = new_host().start()
    url = await deploy(host, "a")
    host.kill()
    taker = await asyncio.start_server(lambda *_: None, "127.0.0.1", int(url.rpartition(":")[2]))
    async with taker:
        host.start()
    front = await host.target.front("front")
    assert front.url != url
    async with browser() as session, session.get(front.url) as answer:
        assert await answer.text() == "a"


async def test_a_release_that_cannot_come_back_does_not_keep_the_host_down(new_host, tmp_path: Path):
    program = tmp_path / "service.py"
    shutil.copy(SERVICE, program)
    host = new_host().start()
    await host.target.allocate("a-allocate")
    await host.target.start("a-start", "a-allocate", Release(sys.executable, (str(program), "a")))
    url = await host.target.switch("a-switch", "front", {"a-start": 1})
    host.kill()
    program.rename(tmp_path / "away")
    host.start()
    health = await host.target.health("a-start")
    assert not health.healthy
    assert "exited with code 2" in health.detail
    shutil.copy(SERVICE, program)

    async def back() -> bool:
        return (await host.target.health("a-start")).healthy

    await until(back, 20)
    async with browser() as session, session.get(url) as answer:
        assert await answer.text() == "a"


WRITES_BEFORE = 4
"""Of the release that has the traffic: allocate, start (twice), switch."""

WRITES = 12
"""Of one rollout done and undone: start, retire, unretire and stop write twice, the others once."""


def rollout(host: Host):
    """Every operation of the port, in the order in which a saga does and then undoes them."""
    target = host.target
    return (
        lambda: target.allocate("b-allocate"),
        lambda: target.start("b-start", "b-allocate", service("b")),
        lambda: target.switch("b-switch", "front", {"b-start": 1}),
        lambda: target.retire("b-retire", "a-start"),
        lambda: target.unretire("b-retire"),
        lambda: target.switch_back("b-switch"),
        lambda: target.stop("b-start"),
        lambda: target.free("b-allocate"),
    )


async def in_turn(acts) -> None:
    for act in acts:
        await act()


async def patiently(host: Host, act) -> None:
    """As a saga does: again, with the same key, until there is an answer."""
    while True:
        try:
            await act()
            return
        except TargetUnavailable:
            assert host.process.wait(5) == -signal.SIGKILL
            host.start()


def kills():
    """All moments; a quarter of them in every run, the others in the long matrix."""
    for number in range(1, WRITES + 1):
        for turn, how in enumerate(("before", "after")):
            marks = [pytest.mark.matrix] if (number + turn) % 4 else []
            yield pytest.param(how, number, marks=marks)


@pytest.mark.parametrize(("how", "number"), list(kills()))
async def test_a_kill_at_every_write_is_survived_by_asking_again(new_host, how: str, number: int):
    """A rollout done and undone, with the host killed around its n-th write: in the end all is as before."""
    host = new_host().start("-m", "tests.targets.dying_host", how, str(WRITES_BEFORE + number))
    url = await deploy(host, "a")
    for act in rollout(host):
        await patiently(host, act)
    assert "dying_host" not in str(host.process.args), "the write was never reached"
    assert [run.start_key for run in await host.target.inventory()] == ["a-start"]
    assert len(host.processes()) == 1
    async with browser() as session, session.get(url) as answer:
        assert await answer.text() == "a"
    assert {(await host.target.effect(f"b-{step}")).state for step in ("allocate", "start", "switch", "retire")} == {
        "undone"
    }


@pytest.mark.parametrize(
    ("number", "key", "state", "runs"),
    [
        (3, "b-start", "absent", ["a-start"]),
        (6, "b-retire", "kept", ["b-start"]),
        (8, "b-retire", "kept", ["b-start"]),
        (11, "b-start", "undone", ["a-start"]),
    ],
)
async def test_an_effect_cut_off_by_a_kill_is_settled_for_whoever_asks(new_host, number, key, state, runs):
    """The second write of start, retire, unretire and stop is never made: the process is there or gone already."""
    host = new_host().start("-m", "tests.targets.dying_host", "before", str(WRITES_BEFORE + number))
    await deploy(host, "a")
    with pytest.raises(TargetUnavailable):
        await in_turn(rollout(host))
    assert host.process.wait(5) == -signal.SIGKILL
    host.start()
    assert (await host.target.effect(key)).state == state
    assert [run.start_key for run in await host.target.inventory()] == runs
    assert len(host.processes()) == len(runs)
