"""More than one machine on one log: the saga role runs once, everything else as often as you like."""

import os
import signal
import subprocess
import sys
import time

import pytest

from tests.up import Up


@pytest.fixture
def machine(log, tmp_path):
    """A platform in a data directory of its own, without the api role; PostgreSQL is not needed and not there."""
    made = []

    def flags(roles):
        return ("--nats-url", log, "--role", roles)

    def start(name, roles):
        made.append(Up(tmp_path / name, *flags(roles)))
        return made[-1].wait()

    start.flags = flags
    yield start
    for up in made:
        up.stop()


def eventually(holds, timeout=20):
    deadline = time.monotonic() + timeout
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_a_second_machine_with_the_saga_role_says_who_has_it_and_exits_2(machine, tmp_path):
    """A worker may run beside it: with no process host, and no database, which it neither fills nor reads."""
    first = machine("first", "saga,worker")
    called = subprocess.run(
        [sys.executable, "-m", "sagacity", "up", "--data", tmp_path / "second", *machine.flags("saga")],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert called.returncode == 2
    assert f"the saga role of this log is taken (process {first.process.pid} on " in called.stderr
    assert f"in {first.home})" in called.stderr
    assert called.stderr.count("\n") == 1
    beside = machine("beside", "worker")
    assert not (beside.home / "run" / "process-host.pid").exists()
    assert not (beside.home / "postgres").exists()
    assert beside.stop() == 0


def test_after_a_kill_the_place_is_free_at_once_for_the_same_directory_and_for_another(machine):
    first = machine("first", "saga")
    os.kill(first.process.pid, signal.SIGKILL)
    first.process.wait()
    (first.home / "run" / "url").unlink()
    again = machine("first", "saga")
    again.stop()
    assert machine("second", "saga").pid("process-host")


def test_roles_without_api_are_ready_when_they_say_so_and_not_because_they_once_did(machine):
    up = machine("one", "saga,worker")
    ready, victim = up.home / "run" / "roles.ready", up.pid("roles")
    said = ready.stat().st_mtime_ns
    os.kill(victim, signal.SIGKILL)
    eventually(lambda: up.pid("roles") != victim)
    eventually(lambda: ready.exists() and ready.stat().st_mtime_ns > said)
