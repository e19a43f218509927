"""Workers in Python and in JavaScript keep the same contract, each in a process of its own."""

import asyncio
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from eventstore.blobs import create_blobs
from eventstore.connection import connect_to
from skills.streams import create_skill_streams
from tests.skills.skill_contract import SkillContract
from tests.up import its_nats_server

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
JAVASCRIPT = ROOT / "skills" / "javascript"
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "sagacity" / "node"


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Workers come with the password, which is in the URL."""
    with its_nats_server(tmp_path_factory.mktemp("data")) as url:
        asyncio.run(_create(url))
        yield url


async def _create(url: str) -> None:
    connection = await connect_to(url)
    await create_blobs(connection)
    await create_skill_streams(connection)
    await connection.close()


class Starter:
    """A worker process, at most one at a time; a test that needs one takes it as the one before has left it."""

    def __init__(self, command: list[str]) -> None:
        self._command = command
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        if self._process is None or self._process.poll() is not None:
            self._process = subprocess.Popen(self._command, cwd=ROOT)

    def stop(self) -> None:
        """At once, as a power cut would."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    async def died(self) -> None:
        async with asyncio.timeout(20):
            while self._process is not None and self._process.poll() is None:
                await asyncio.sleep(0.02)


class EveryWorker(SkillContract):
    @pytest.fixture
    def worker(self, starter: Starter) -> Starter:
        starter.start()
        return starter


class TestPython(EveryWorker):
    @pytest.fixture
    def starter(self, python: Starter) -> Starter:
        return python


def test_the_protocol_fits_into_sixty_lines_of_javascript():
    """None of them longer than a line of ours: all of the subjects are in this one file."""
    lines = (JAVASCRIPT / "worker.mjs").read_text().splitlines()
    assert len(lines) <= 60
    assert max(map(len, lines)) <= 120
    others = "".join(file.read_text() for file in JAVASCRIPT.glob("*.mjs") if file.name != "worker.mjs")
    for subject in ("work.${", "report.${", "heartbeat.${"):
        assert any(subject in line for line in lines), subject
        assert subject not in others


class TestJavascript(EveryWorker):
    @pytest.fixture
    def starter(self, javascript: Starter) -> Starter:
        return javascript


@pytest.fixture(scope="class")
def python(url: str) -> Iterator[Starter]:
    yield from _started([sys.executable, "-m", "tests.skills.contract_skill", url])


@pytest.fixture(scope="class")
def javascript(url: str) -> Iterator[Starter]:
    modules = _modules()
    with tempfile.TemporaryDirectory() as home:
        for file in (*JAVASCRIPT.glob("*.mjs"), HERE / "contract_skill.mjs"):
            shutil.copy(file, home)
        (Path(home) / "node_modules").symlink_to(modules)
        yield from _started(["node", f"{home}/contract_skill.mjs", url])


def _started(command: list[str]) -> Iterator[Starter]:
    starter = Starter(command)
    yield starter
    starter.stop()


def _modules() -> Path:
    """The packages of the worker, from the registry that npm knows; kept for the next time, apart from the repository.
    Skips the test where they cannot be had."""
    missing = [program for program in ("node", "npm") if shutil.which(program) is None]
    if missing:
        _skip(f"{' and '.join(missing)} not found")
    manifest = JAVASCRIPT / "package.json"
    home = CACHE / hashlib.sha256(manifest.read_bytes()).hexdigest()[:16]
    if not (home / "node_modules").is_dir():
        CACHE.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=CACHE) as fresh:
            shutil.copy(manifest, fresh)
            install = ["npm", "install", "--no-audit", "--no-fund", "--ignore-scripts", "--omit=dev"]
            done = subprocess.run(install, cwd=fresh, capture_output=True, text=True, timeout=110)
            if done.returncode:
                _skip(f"npm install does not succeed: {done.stderr.strip().splitlines()[-1:]}")
            shutil.copytree(fresh, home, dirs_exist_ok=True, symlinks=True)
    return home / "node_modules"


def _skip(reason: str) -> None:
    print(f"the worker in JavaScript is not tested: {reason}", file=sys.stderr)
    pytest.skip(reason)
