"""The embedded servers survive whatever is done to them, and nothing of them is left when they are stopped."""

import asyncio
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import asyncpg
import pytest

from eventstore.connection import connect_to
from sagacity.embedded.nats_server import check_version
from sagacity.embedded.service import StartFailed

ROOT = Path(__file__).parents[2]


class Keeper:
    """A supervisor process in a data directory."""

    def __init__(self, home: Path, **options):
        self.home = home
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.runtime.keeper", str(home)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=ROOT,
            **options,
        )
        self.said = []
        self.urls = ()

    def ready(self):
        """Wait until both servers are; (NATS URL, database URL)."""
        for line in self.process.stdout:
            self.said.append(line.strip())
            if line.startswith("ready "):
                self.urls = tuple(line.split()[1:])
                return self.urls
        raise AssertionError(f"not ready: {self.said} {self.process.stderr.read()}")

    def heard(self, text):
        for line in self.process.stdout:
            self.said.append(line.strip())
            if text in line:
                return
        raise AssertionError(f"{text!r} was not said: {self.said}")

    def pid(self, name):
        return int((self.home / "run" / f"{name}.pid").read_text().split()[0])

    def pids(self):
        return [self.pid("nats-server"), self.pid("postgresql")]

    def kill(self):
        self.process.kill()
        self.process.wait()

    def stop(self):
        if self.process.poll() is None:
            self.process.terminate()
        return self.process.wait(30)


@pytest.fixture
def keep():
    kept, homes = [], []

    def start(home=None, **options):
        if home is None:
            home = Path(tempfile.mkdtemp())
            homes.append(home)
        keeper = Keeper(home, **options)
        kept.append(keeper)
        return keeper

    yield start
    for keeper in kept:
        keeper.stop()
    for home in homes:
        shutil.rmtree(home, ignore_errors=True)


@pytest.fixture(scope="module")
def shared():
    """One for the tests that leave it running."""
    home = Path(tempfile.mkdtemp())
    keeper = Keeper(home)
    try:
        keeper.ready()
        yield keeper
    finally:
        keeper.stop()
        shutil.rmtree(home, ignore_errors=True)


def gone(pids, timeout=15.0):
    deadline = time.monotonic() + timeout
    while any(_runs(pid) for pid in pids):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


def _runs(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


async def put(urls, value):
    """Something durable in both servers."""
    nats_url, database_url = urls
    connection = await connect_to(nats_url)
    context = connection.jetstream()
    await context.add_stream(name="KEPT", subjects=["kept"])
    await context.publish("kept", value.encode(), timeout=5)
    await connection.close()
    database = await asyncpg.connect(database_url)
    await database.execute("CREATE TABLE IF NOT EXISTS kept (value text)")
    await database.execute("DELETE FROM kept")
    await database.execute("INSERT INTO kept VALUES ($1)", value)
    await database.close()


async def kept(urls):
    """What both servers hold."""
    nats_url, database_url = urls
    connection = await connect_to(nats_url)
    message = await connection.jetstream().get_last_msg("KEPT", "kept")
    await connection.close()
    database = await asyncpg.connect(database_url, timeout=10)
    row = await database.fetchval("SELECT value FROM kept")
    await database.close()
    return message.data.decode(), row


def test_a_second_instance_says_so_and_exits_2(shared, keep):
    second = keep(shared.home)
    assert second.process.wait(20) == 2
    said = second.process.stderr.read()
    assert f"another instance (process {shared.process.pid}) already runs" in said
    assert len(said.splitlines()) == 1


@pytest.mark.parametrize("name", ["nats-server", "postgresql"])
def test_a_server_that_is_killed_is_started_again_with_all_its_data(shared, name):
    asyncio.run(put(shared.urls, f"before {name}"))
    os.kill(shared.pid(name), signal.SIGKILL)
    shared.heard(f"{name} ready again")
    assert asyncio.run(kept(shared.urls)) == (f"before {name}", f"before {name}")


def test_after_a_kill_of_the_supervisor_or_of_everything_nothing_is_left_and_the_next_start_finds_all_data(keep):
    """Also after several in a row; and SIGTERM stops all in order."""
    keeper = keep()
    urls = keeper.ready()
    asyncio.run(put(urls, "before"))
    pids = keeper.pids()
    keeper.kill()
    assert gone(pids)
    again = keep(keeper.home)
    assert again.ready() == urls
    assert asyncio.run(kept(urls)) == ("before", "before")
    asyncio.run(put(urls, "between"))
    for pid in [again.process.pid, *again.pids()]:
        os.kill(pid, signal.SIGKILL)
    again.process.wait()
    last = keep(keeper.home)
    assert last.ready() == urls
    assert asyncio.run(kept(urls)) == ("between", "between")
    pids = last.pids()
    assert last.stop() == 0
    assert gone(pids, 0)
    assert last.process.stdout.read().split("\n")[:2] == ["postgresql stopped", "nats-server stopped"]


def test_a_crash_while_postgresql_is_initialised_leaves_nothing_half_made(keep):
    keeper = keep()
    while not list(keeper.home.glob("postgres.new-*")) and keeper.process.poll() is None:
        time.sleep(0.005)
    keeper.kill()
    assert not (keeper.home / "postgres").exists()
    keep(keeper.home).ready()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
def test_as_root_postgresql_runs_as_somebody_else(shared):
    status = Path(f"/proc/{shared.pid('postgresql')}/status").read_text()
    uid = next(line.split()[1] for line in status.splitlines() if line.startswith("Uid:"))
    assert uid != "0"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
def test_as_a_normal_user_everything_runs_as_that_user(keep):
    try:
        subprocess.run([sys.executable, "-c", ""], user=65534, check=True, capture_output=True)
    except (OSError, subprocess.SubprocessError):
        pytest.skip("this Python lies where only root may enter")
    home = Path(tempfile.mkdtemp())
    os.chown(home, 65534, 65534)
    keeper = keep(home, user=65534, group=65534, extra_groups=[])
    keeper.ready()
    assert Path(f"/proc/{keeper.pid('postgresql')}").stat().st_uid == 65534
    assert keeper.stop() == 0
    shutil.rmtree(home)


@pytest.mark.parametrize(
    ("said", "fault"),
    [("nats-server: v2.10.1", "2.14 or newer is needed"), ("hello", "is nats-server hello")],
)
def test_a_foreign_or_old_binary_is_refused(tmp_path, said, fault):
    program = tmp_path / "nats-server"
    program.write_text(f"#!/bin/sh\necho '{said}'\n")
    program.chmod(0o755)
    with pytest.raises(StartFailed, match=fault):
        check_version(program)


def test_a_missing_binary_is_refused(tmp_path):
    with pytest.raises(StartFailed, match="no nats-server that runs here"):
        check_version(tmp_path / "nowhere")


def test_a_data_directory_that_is_a_file_is_refused(keep, tmp_path):
    (tmp_path / "file").write_text("")
    keeper = keep(tmp_path / "file")
    assert keeper.process.wait(20) == 2
    assert "cannot be used" in keeper.process.stderr.read()


@pytest.mark.skipif(not Path("/dev/full").exists() or os.geteuid() != 0, reason="needs root and a small file system")
def test_a_full_disk_is_told_at_once(keep, tmp_path):
    small = tmp_path / "small"
    small.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(small)], capture_output=True)
    if mounted.returncode:
        pytest.skip("no file system can be mounted here")
    try:
        keeper = keep(small)
        assert keeper.process.wait(20) == 2
        assert "No space left on device" in keeper.process.stderr.read()
    finally:
        subprocess.run(["umount", str(small)], check=True)
