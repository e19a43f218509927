"""One process of a release: its own process group, its output going to its log."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from pathlib import Path
from typing import Final

from sagas.targets.port import LogStream, Release, ReleaseFailed
from sagas.targets.process import leftovers
from sagas.targets.process.layout import Layout
from sagas.targets.process.output import Lines, ReleaseLog
from sagas.targets.process.validation import base_environment, program_path

LAUNCH: Final = Path(__file__).with_name("launch.py")
_READ: Final = 256 * 1024
_LAST_OUTPUT: Final = 1.0
"""Seconds to read what is left in the pipes once the process has ended."""


class RunningProcess:
    """Make one with `spawn`. `exited` is the exit code (negative: the signal) once everything of it is gone."""

    def __init__(
        self, process: asyncio.subprocess.Process, pumps: list[asyncio.Task[None]], ended: asyncio.Task[int]
    ) -> None:
        self.pid = process.pid
        self.exited = ended
        self._pumps = pumps

    @classmethod
    async def spawn(
        cls, start_key: str, port: int, release: Release, layout: Layout, log: ReleaseLog
    ) -> RunningProcess:
        """Raises ReleaseFailed."""
        program = program_path(release)
        if program is None:
            raise ReleaseFailed(f"there is no program {release.program!r} any more")
        ours = [sys.executable, "-I", "-S", str(LAUNCH), str(os.getpid()), str(int(signal.SIGKILL)), "-"]
        pipes = [os.pipe(), os.pipe()]
        try:
            process = await asyncio.create_subprocess_exec(
                *ours,
                program,
                *release.arguments,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=pipes[0][1],
                stderr=pipes[1][1],
                cwd=_directory(start_key, release, layout),
                env=_environment(port, release, layout),
                start_new_session=True,
            )
        except OSError as error:
            for reading, _ in pipes:
                os.close(reading)
            raise ReleaseFailed(f"{release.program} cannot be started: {error.strerror}") from error
        finally:
            for _, writing in pipes:
                os.close(writing)
        with contextlib.suppress(OSError):
            leftovers.note(layout.processes, start_key, process.pid)
        streams: list[LogStream] = ["stdout", "stderr"]
        pumps = [
            asyncio.create_task(_pump(reading, stream, log))
            for (reading, _), stream in zip(pipes, streams, strict=True)
        ]
        return cls(process, pumps, asyncio.create_task(_ended(process, pumps, layout, start_key)))

    async def end(self, grace: float) -> None:
        """SIGTERM to the whole group, SIGKILL after `grace` seconds; returns when nothing of it is left."""
        _signal(self.pid, signal.SIGTERM)
        done, _ = await asyncio.wait({self.exited}, timeout=grace)
        if not done:
            _signal(self.pid, signal.SIGKILL)
            await asyncio.wait({self.exited})


async def _ended(
    process: asyncio.subprocess.Process, pumps: list[asyncio.Task[None]], layout: Layout, start_key: str
) -> int:
    code = await process.wait()
    _signal(process.pid, signal.SIGKILL)
    await asyncio.wait(pumps, timeout=_LAST_OUTPUT)
    for pump in pumps:
        pump.cancel()
    await asyncio.gather(*pumps, return_exceptions=True)
    with contextlib.suppress(OSError):
        leftovers.strike(layout.processes, start_key)
    return code


def _signal(group: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(group, number)


async def _pump(pipe: int, stream: LogStream, log: ReleaseLog) -> None:
    reader = asyncio.StreamReader(limit=_READ)
    transport, _ = await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(pipe, "rb", buffering=0)
    )
    lines = Lines()
    try:
        while data := await reader.read(_READ):
            # A full disk costs lines of the log; it must not stop the release, which would block on its pipe.
            with contextlib.suppress(OSError):
                log.write(stream, lines.cut(data))
    finally:
        with contextlib.suppress(OSError):
            log.write(stream, lines.end())
        transport.close()


def _directory(start_key: str, release: Release, layout: Layout) -> str:
    if release.working_directory is not None:
        return release.working_directory
    own = layout.work(start_key)
    own.mkdir(parents=True, exist_ok=True)
    return str(own)


def _environment(port: int, release: Release, layout: Layout) -> dict[str, str]:
    given = {"PORT": str(port), leftovers.MARK: str(layout.data)}
    return {**base_environment(), "HOST": "127.0.0.1", **release.environment, **given}
