"""Processes of our own, in which may break what would break us: they talk in frames, and end with everything they
started. Their own side: eventstore/child.py."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from eventstore.child import LENGTH

_INHERITED: Final = ("PATH", "LD_LIBRARY_PATH", "LANG", "LC_ALL", "TMPDIR", "TZ")
_ONE_THREAD: Final = {f"{library}_NUM_THREADS": "1" for library in ("OMP", "OPENBLAS", "MKL")} | {
    "OMP_THREAD_LIMIT": "1"
}
_FAREWELL: Final = 2.0
"""Seconds between asking a process to end with what it started, and ending it."""


class ProcessEnded(Exception):
    """It ended before it answered; a negative code is a signal."""

    def __init__(self, code: int | None) -> None:
        super().__init__(f"the process ended with code {code}")
        self.code = code


class FrameTooLarge(Exception):
    """More bytes than an answer may have."""


class Child:
    """A process that takes and gives frames: bytes, after their length in 8 bytes."""

    def __init__(self, process: Process) -> None:
        self._process = process

    @property
    def ended(self) -> bool:
        return self._process.returncode is not None

    @property
    def pid(self) -> int:
        return self._process.pid

    async def tell(self, frame: bytes) -> None:
        """Raises ProcessEnded."""
        stdin = self._process.stdin
        assert stdin is not None
        try:
            stdin.write(len(frame).to_bytes(LENGTH, "big"))
            stdin.write(frame)
            await stdin.drain()
        except OSError as error:
            raise ProcessEnded(await self._process.wait()) from error

    async def hear(self, largest: int) -> bytes:
        """Raises ProcessEnded, FrameTooLarge."""
        stdout = self._process.stdout
        assert stdout is not None
        try:
            length = int.from_bytes(await stdout.readexactly(LENGTH), "big")
            if length > largest:
                raise FrameTooLarge(f"{length} bytes; at most {largest}")
            return await stdout.readexactly(length)
        except (asyncio.IncompleteReadError, OSError) as error:
            raise ProcessEnded(await self._process.wait()) from error

    async def end(self, *, ask: bool = False) -> None:
        """Nothing of it is left, nor of its process group. `ask`: by SIGTERM first, to one that ends others itself."""
        if ask and not self.ended:
            with contextlib.suppress(ProcessLookupError):
                self._process.terminate()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_FAREWELL):
                    await self._process.wait()
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)
        if self._process.stdin is not None:
            self._process.stdin.close()
        await self._process.wait()


async def start_child(
    arguments: Sequence[str], environment: Mapping[str, str], directory: Path, *, quiet: bool = True
) -> Child:
    """A Python program in a session of its own. `quiet`: what it says on standard error is lost. Raises OSError."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, *arguments),
        stdin=PIPE,
        stdout=PIPE,
        stderr=asyncio.subprocess.DEVNULL if quiet else None,
        cwd=directory,
        env=environment,
        start_new_session=True,
    )
    return Child(process)


def bare_environment() -> dict[str, str]:
    """Where programs and libraries are, and in which language and zone: nothing else of ours."""
    return {name: os.environ[name] for name in _INHERITED if name in os.environ} | _ONE_THREAD
