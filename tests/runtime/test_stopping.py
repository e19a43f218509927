"""Ctrl-C at any moment is a stop: no traceback, nothing left running, nothing half-made."""

import asyncio
import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

from sagacity.cli.stopping import until_stopped


class Program:
    """`sagacity` as a shell runs it: a Ctrl-C goes to its whole process group."""

    def __init__(self, place, *arguments):
        self.place = place
        self.process = subprocess.Popen(
            [sys.executable, "-m", "sagacity", *map(str, arguments)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "TMPDIR": str(place)},
            start_new_session=True,
        )

    def heard(self, text):
        for line in self.process.stdout:
            if text in line:
                return
        raise AssertionError(f"{text!r} was not said: {self.process.stderr.read()}")

    def interrupt(self):
        """(exit status, what it said on stderr)"""
        os.killpg(self.process.pid, signal.SIGINT)
        _, errors = self.process.communicate(timeout=60)
        return self.process.returncode, errors

    def left(self):
        """The command lines of processes that it has left behind."""
        found = []
        for place in Path("/proc").glob("[0-9]*"):
            try:
                if f"TMPDIR={self.place}" in (place / "environ").read_text(errors="replace").split("\0"):
                    found.append((place / "cmdline").read_text())
            except OSError:
                continue
        return [each for each in found if each]


@pytest.fixture
def run():
    started = []

    def start(*arguments):
        place = Path(tempfile.mkdtemp())
        place.chmod(0o755)  # PostgreSQL never runs as root
        started.append(Program(place, *arguments))
        return started[-1]

    yield start
    for program in started:
        if program.process.poll() is None:
            program.process.kill()
            program.process.communicate()
        shutil.rmtree(program.place)


def test_while_postgresql_is_initialised(run, tmp_path):
    program = run("up", "--data", tmp_path / "d", "--port", "0")
    deadline = time.monotonic() + 30
    while not any((tmp_path / "d").glob("postgres.new-*/base")) and time.monotonic() < deadline:
        time.sleep(0.005)
    assert program.interrupt() == (0, "")
    assert program.left() == []
    assert not list((tmp_path / "d").glob("postgres.new-*"))


_MORE_MOMENTS = ("comes up", "nats-server ready", "stack with four", "Version 1.0", "deployed while requests")


@pytest.mark.parametrize(
    "moment",
    [
        "postgresql ready",
        *(pytest.param(moment, marks=pytest.mark.matrix) for moment in _MORE_MOMENTS),
    ],
)
def test_while_the_demo_runs(run, moment):
    program = run("demo", "--exit")
    program.heard(moment)
    assert program.interrupt() == (130, "")
    assert program.left() == []
    assert not list(program.place.glob("sagacity-demo-*"))


async def test_what_closes_is_not_interrupted_by_a_second_signal():
    closed = asyncio.Event()

    async def work(stop):
        try:
            os.kill(os.getpid(), signal.SIGINT)
            await asyncio.sleep(60)
        finally:
            os.kill(os.getpid(), signal.SIGTERM)
            await asyncio.sleep(0.1)
            closed.set()

    assert await until_stopped(work) is None
    assert closed.is_set()


async def test_a_cancellation_that_got_lost_does_not_keep_it_running():
    async def work(stop):
        os.kill(os.getpid(), signal.SIGINT)
        with contextlib.suppress(asyncio.CancelledError):  # as client libraries do now and then
            await asyncio.sleep(60)
        await stop.wait()
        return "stopped in order"

    assert await until_stopped(work) == "stopped in order"


async def test_what_comes_to_its_end_gives_its_result():
    async def work(stop):
        return 7

    assert await until_stopped(work) == 7
