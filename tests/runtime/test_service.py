"""One child process: whatever it writes is bounded, and it never outlives whoever started it."""

import asyncio
import os
import signal
import subprocess
import sys

import pytest

from sagacity.embedded.directory import DataDirectory
from sagacity.embedded.probing import Probe
from sagacity.embedded.service import Child, Service, StartFailed
from sagacity.embedded.supervisor import Supervisor
from sagas.targets.process.running import LAUNCH

TALKER = "import itertools\nfor n in itertools.count(): print(f'line {n} of many', flush=n % 100 == 0)"


async def yes():
    return True


@pytest.fixture
def directory(tmp_path):
    found = DataDirectory(tmp_path)
    for part in (found.run, found.logs):
        part.mkdir()
    return found


async def until(holds, timeout=20):
    async with asyncio.timeout(timeout):
        while not holds():
            await asyncio.sleep(0.02)


async def test_a_log_is_bounded_while_its_service_runs(directory):
    """The service goes on writing where it wrote; the newest lines are kept, whole, in two files."""
    log, older = directory.logs / "talker.log", directory.logs / "talker.log.1"
    async with Supervisor(directory, lambda _: None) as supervisor:
        await supervisor.start(Service("talker", (sys.executable, "-c", TALKER), yes, log_limit=200_000))
        await until(older.exists)
        first = older.read_bytes()[:50]
        await until(lambda: (again := older.read_bytes()[:50]) and again != first)
        os.kill(int((directory.run / "talker.pid").read_text().split()[0]), signal.SIGSTOP)
        await until(lambda: log.stat().st_size < 100_000)
        assert b"\0" not in log.read_bytes()
        os.kill(int((directory.run / "talker.pid").read_text().split()[0]), signal.SIGCONT)


async def test_what_is_to_be_prepared_is_prepared_before_every_start(directory, tmp_path):
    ready = tmp_path / "ready"
    program = f"import pathlib, time; pathlib.Path({str(ready)!r}).touch(); time.sleep(60)"

    async def said():
        return ready.exists()

    def prepare():
        ready.unlink(missing_ok=True)
        prepared.append(1)

    prepared: list[int] = []
    ready.touch()
    service = Service("sayer", (sys.executable, "-c", program), said, prepare=prepare)
    async with Supervisor(directory, lambda _: None) as supervisor:
        await supervisor.start(service)
        os.kill(int((directory.run / "sayer.pid").read_text().split()[0]), signal.SIGKILL)
        await until(lambda: len(prepared) == 2 and ready.exists())


async def test_a_program_that_is_not_there_is_named(directory):
    child = Child(Service("none", ("/no/such/program",), _no), directory.run, directory.logs)
    with pytest.raises(StartFailed, match=r"none ended with code 126: /no/such/program cannot be executed: No such"):
        await child.start()


async def _no():
    return False


def pid_of(directory, name):
    return int((directory.run / f"{name}.pid").read_text().split()[0])


async def test_each_restart_of_a_child_that_crashes_is_told_in_one_sentence(directory, tmp_path):
    """What it said last, without file names, and where all of it is."""
    healthy, said = tmp_path / "healthy", []
    healthy.touch()
    program = (
        f"import pathlib, time\nif pathlib.Path({str(healthy)!r}).exists(): time.sleep(60)\n"
        "from eventstore.errors import HistoryBroken\nraise HistoryBroken('position 5: is no event')"
    )

    async def ready():
        return healthy.exists()

    service = Service("crasher", (sys.executable, "-c", program), ready)
    async with Supervisor(directory, said.append) as supervisor:
        await supervisor.start(service)
        healthy.unlink()
        os.kill(pid_of(directory, "crasher"), signal.SIGKILL)
        await until(lambda: len(said) >= 4)
    log = directory.logs / "crasher.log"
    assert said[1] == f"crasher ended unexpectedly by signal 9; its log: {log}; it is started again"
    assert said[2] == said[3] == f"crasher ended with code 1: position 5: is no event; its log: {log}"


async def test_a_child_that_hangs_is_killed_and_started_again(directory, tmp_path):
    """It has to miss several probes in a row: what is only slow now and then is left alone."""
    answers, said = tmp_path / "answers", []
    answers.touch()
    asked: list[int] = []

    async def answered():
        asked.append(1)
        if len(asked) <= 20:
            return len(asked) % 3 == 0
        if not answers.exists():
            await asyncio.Event().wait()  # as a stopped process does not answer
        return True

    probe = Probe(answered, interval=0.01, timeout=0.1, failures=3)
    service = Service("hanger", (sys.executable, "-c", "import time; time.sleep(60)"), yes, probe=probe)
    async with Supervisor(directory, said.append) as supervisor:
        await supervisor.start(service)
        first = pid_of(directory, "hanger")
        await until(lambda: len(asked) > 30)
        assert (pid_of(directory, "hanger"), len(said)) == (first, 1)
        os.kill(first, signal.SIGSTOP)
        answers.unlink()
        await until(lambda: len(said) >= 2)
        answers.touch()
        await until(lambda: len(said) >= 3)
        assert pid_of(directory, "hanger") != first
    assert said[1] == "hanger does not answer any more and was killed; it is started again"
    assert said[2].startswith("hanger ready again (process ")


async def test_a_question_that_goes_wrong_is_no_answer(directory):
    async def broken():
        raise RuntimeError("whatever")

    said: list[str] = []
    probe = Probe(broken, interval=0.01, failures=2)
    service = Service("mute", (sys.executable, "-c", "import time; time.sleep(60)"), yes, probe=probe)
    async with Supervisor(directory, said.append) as supervisor:
        await supervisor.start(service)
        await until(lambda: "mute does not answer any more and was killed; it is started again" in said)


def test_a_program_whose_parent_died_before_it_began_does_not_begin(tmp_path):
    """Its parent is told by number: who has become an orphan in between ends at once."""
    began = tmp_path / "began"
    launcher = [sys.executable, "-I", "-S", str(LAUNCH), "1" if os.getpid() != 1 else "2", "15", "-"]
    done = subprocess.run([*launcher, "/usr/bin/env", "touch", str(began)], check=False)
    assert done.returncode == -signal.SIGKILL
    assert not began.exists()


def test_a_program_gets_the_signal_it_asked_for_when_its_parent_is_killed(tmp_path):
    said = tmp_path / "said"
    child = (
        "import pathlib, signal, time\n"
        f"signal.signal(signal.SIGINT, lambda *_: (pathlib.Path({str(said)!r}).write_text('SIGINT'), exit()))\n"
        "print('ready', flush=True)\ntime.sleep(60)"
    )
    parent = (
        "import os, subprocess, sys, time\n"
        f"subprocess.Popen([sys.executable, '-I', '-S', {str(LAUNCH)!r}, str(os.getpid()), '2', '-', "
        f"sys.executable, '-c', {child!r}])\ntime.sleep(60)"
    )
    process = subprocess.Popen([sys.executable, "-c", parent], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    process.kill()
    process.wait()
    assert process.stdout.read() == ""
    assert said.read_text() == "SIGINT"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
def test_a_program_becomes_whom_it_is_told():
    status = subprocess.run(
        [sys.executable, "-I", "-S", str(LAUNCH), str(os.getpid()), "15", "65534", "/bin/cat", "/proc/self/status"],
        capture_output=True,
        text=True,
        check=True,
    )
    lines = {line.split(":")[0]: line.split()[1:] for line in status.stdout.splitlines()}
    assert set(lines["Uid"] + lines["Gid"]) == {"65534"}
    assert lines["Groups"] == []
