"""The process host: owns the fronts and the releases of one data directory, whatever happens to the platform.

    python -m sagas.targets.process.host --data DIR

A process of its own, so that traffic goes on while the platform restarts. SIGTERM and SIGINT stop it in order;
what ran then runs again at the next start, also after a kill -9. Exit codes: 0 stopped; 2 wrong arguments, another
host has the directory, or its state cannot be read.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import fcntl
import logging
import os
import signal
import sys
from collections.abc import AsyncGenerator, Generator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

import uvloop
from aiohttp import web

from sagas.targets.port import TargetUnavailable
from sagas.targets.process import leftovers
from sagas.targets.process.control import control
from sagas.targets.process.effects import Effects
from sagas.targets.process.fronts import Fronts
from sagas.targets.process.layout import Layout, Limits
from sagas.targets.process.releases import Releases
from sagas.targets.process.state import StateBroken, StateFile
from sagas.targets.process.wire import bind_socket, remove_socket
from sagas.targets.splitter.builtin import BuiltinSplitter
from sagas.targets.splitter.port import Splitter

log = logging.getLogger(__name__)


SplitterKind = Literal["builtin", "haproxy"]


@dataclass(frozen=True)
class Entry:
    """Where the fronts listen, and what splits their traffic."""

    host: str
    splitter: SplitterKind


class AlreadyRunning(Exception):
    """Another host has this data directory."""


async def serve(layout: Layout, limits: Limits, entry: Entry, stop: asyncio.Event) -> None:
    """Until `stop` is set. Raises StateBroken, TargetUnavailable (disk) and OSError (control socket, splitter)."""
    left = leftovers.sweep(layout.processes, layout.data)
    if left:
        log.warning("killed %d processes that the previous host left behind", len(left))
    file = StateFile(layout.state)
    releases = Releases(layout, limits)
    fronts = Fronts(splitter_of(entry, layout), entry.host, lambda: file.state)
    effects = Effects(file, releases, fronts, layout, limits)
    try:
        async with fronts.running():
            await effects.bring_back()
            async with _listening(control(effects, layout), layout):
                log.info("ready in %s", layout.data)
                await stop.wait()
    finally:
        await releases.stop_all()


def splitter_of(entry: Entry, layout: Layout) -> Splitter:
    match entry.splitter:
        case "builtin":
            return BuiltinSplitter(entry.host)
        case "haproxy":
            from sagas.targets.splitter.haproxy import HAProxySplitter

            return HAProxySplitter(entry.host, layout.data / "haproxy")


@contextlib.asynccontextmanager
async def _listening(application: web.Application, layout: Layout) -> AsyncGenerator[None]:
    runner = web.AppRunner(application, access_log=None, shutdown_timeout=1.0)
    await runner.setup()
    try:
        await web.SockSite(runner, bind_socket(layout.data)).start()
        yield
    finally:
        await runner.cleanup()
        remove_socket(layout.data)


@contextlib.contextmanager
def _alone(layout: Layout) -> Generator[None]:
    """Raises AlreadyRunning."""
    with layout.lock.open("a+") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            lock.seek(0)
            raise AlreadyRunning(f"the process host {lock.read()} already runs in {layout.data}") from error
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
        yield


async def _run(layout: Layout, limits: Limits, entry: Entry) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    await serve(layout, limits, entry, stop)


def main(arguments: list[str] | None = None) -> int:
    options = _options(arguments)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    layout = Layout(options.data.resolve())
    limits = Limits(drain=options.drain, grace=options.grace)
    try:
        layout.data.mkdir(parents=True, exist_ok=True, mode=0o700)
        with _alone(layout):
            uvloop.run(_run(layout, limits, Entry(options.front_host, options.splitter)))
    except (AlreadyRunning, StateBroken, TargetUnavailable, OSError) as error:
        print(f"process host: {error}", file=sys.stderr)
        return 2
    return 0


def _options(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="process host", description="Runs releases and the fronts before them.")
    parser.add_argument("--data", type=Path, required=True, help="directory for state, logs and the control socket")
    parser.add_argument("--front-host", default="127.0.0.1", help="address the fronts listen on (%(default)s)")
    parser.add_argument(
        "--splitter",
        choices=get_args(SplitterKind),
        default=os.environ.get("SAGACITY_SPLITTER", "builtin"),
        help="what splits the traffic (SAGACITY_SPLITTER, or builtin)",
    )
    parser.add_argument("--drain", type=float, default=Limits.drain, help="seconds for requests in flight")
    parser.add_argument("--grace", type=float, default=Limits.grace, help="seconds from SIGTERM to SIGKILL")
    options = parser.parse_args(arguments)
    if options.splitter not in get_args(SplitterKind):
        parser.error(f"SAGACITY_SPLITTER is {options.splitter!r}; it can be {' or '.join(get_args(SplitterKind))}")
    return options


if __name__ == "__main__":
    sys.exit(main())
