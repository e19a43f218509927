"""More than one machine on one log: the saga role runs once, everything else as often as you like."""

import asyncio
import os
import signal
import subprocess
import sys
import time

import pytest

from sagacity.one_host import only_host
from tests.up import Up


def flags(log, roles):
    return ("--nats-url", log, "--role", roles)


@pytest.fixture(scope="module")
def machine(log_url, tmp_path_factory):
    """A platform in a data directory of its own, without the api role; PostgreSQL is not needed and not there."""
    made, home = [], tmp_path_factory.mktemp("machines")

    def start(name, roles):
        made.append(Up(home / name, *flags(log_url, roles)))
        return made[-1].wait()

    yield start
    for up in made:
        up.stop()


@pytest.fixture(scope="module")
def first(machine):
    return machine("first", "saga,worker")


def eventually(holds, timeout=20):
    deadline = time.monotonic() + timeout
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_a_second_machine_with_the_saga_role_says_who_has_it_and_exits_2(first, log_url, tmp_path):
    called = subprocess.run(
        [sys.executable, "-m", "sagacity", "up", "--data", tmp_path / "second", *flags(log_url, "saga")],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert called.returncode == 2
    assert f"the saga role of this log is taken (process {first.process.pid} on " in called.stderr
    assert f"in {first.home})" in called.stderr
    assert called.stderr.count("\n") == 1


@pytest.mark.matrix
def test_a_worker_may_run_beside_it(first, machine):
    """With no process host, and no database, which it neither fills nor reads."""
    beside = machine("beside", "worker")
    assert not (beside.home / "run" / "process-host.pid").exists()
    assert not (beside.home / "postgres").exists()
    assert beside.stop() == 0


def test_roles_without_api_are_ready_when_they_say_so_and_not_because_they_once_did(first):
    ready, victim = first.home / "run" / "roles.ready", first.pid("roles")
    said = ready.stat().st_mtime_ns
    os.kill(victim, signal.SIGKILL)
    eventually(lambda: first.pid("roles") != victim)
    eventually(lambda: ready.exists() and ready.stat().st_mtime_ns > said)


def test_after_a_kill_the_place_is_free_at_once_for_another_directory_and_for_the_same(
    first, machine, log_url, tmp_path
):
    os.kill(first.process.pid, signal.SIGKILL)
    first.process.wait()
    asyncio.run(take(log_url, tmp_path / "another"))
    (first.home / "run" / "url").unlink()
    again = machine("first", "saga")
    assert again.pid("process-host")
    assert again.stop() == 0
    asyncio.run(take(log_url, tmp_path / "another"))


async def take(log, home):
    """As `up` takes it. Raises CannotStart while somebody else has it."""
    async with only_host(log, home, ask=True):
        pass
