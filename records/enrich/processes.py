"""Processes that read documents: what comes from outside may break one of them, and nothing else.

A process lives through many documents, because importing the libraries takes longer than reading one; one that was
too much for it is ended with everything it has started. It gets nothing of the platform's environment but where
programs are, and its answers are decoded as typed data, never unpickled: it may have been taken over by a document.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from asyncio.subprocess import PIPE, Process
from pathlib import Path
from typing import Final

import msgspec
from msgspec import msgpack

from records.enrich.content import Answer, Broken, Contents, Entities, NotReadable, Task
from records.enrich.limits import LARGEST_ANSWER, Limits

PROGRAM: Final = "records.enrich.reading_process"
_ROOT: Final = Path(__file__).parents[2]
_INHERITED: Final = ("PATH", "LD_LIBRARY_PATH", "LANG", "LC_ALL", "TMPDIR", "TZ", "TESSDATA_PREFIX")
_ONE_THREAD: Final = {f"{library}_NUM_THREADS": "1" for library in ("OMP", "OPENBLAS", "MKL")} | {
    "OMP_THREAD_LIMIT": "1"
}
_TASKS: Final = 500
"""After so many a process is replaced: libraries leak."""


class ProcessesUnavailable(Exception):
    """No process can be started here now."""


class Ended(Exception):
    """The process has ended without an answer; a negative code is a signal."""

    def __init__(self, code: int | None) -> None:
        super().__init__(f"the process ended with code {code}")
        self.code = code


class _Child:
    def __init__(self, process: Process) -> None:
        self._process = process
        self._tasks = 0

    @property
    def worn(self) -> bool:
        return self._tasks >= _TASKS or self._process.returncode is not None

    async def answer(self, task: Task) -> Answer:
        """Raises Ended."""
        stdin, stdout = self._process.stdin, self._process.stdout
        assert stdin is not None
        assert stdout is not None
        self._tasks += 1
        encoded = msgpack.encode(task)
        try:
            stdin.write(len(encoded).to_bytes(8, "big"))
            stdin.write(encoded)
            del encoded
            await stdin.drain()
            length = int.from_bytes(await stdout.readexactly(8), "big")
            if length > LARGEST_ANSWER:
                return Broken(f"its text and tables have {length} bytes")
            return msgpack.decode(await stdout.readexactly(length), type=Contents | Entities | Broken)
        except (asyncio.IncompleteReadError, OSError) as error:
            raise Ended(await self._process.wait()) from error
        except msgspec.DecodeError as error:
            raise Ended(None) from error

    async def end(self) -> None:
        """Nothing of it is left, nor of what it has started."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)
        if self._process.stdin is not None:
            self._process.stdin.close()
        await self._process.wait()


class ReadingProcesses:
    """At most `count` at a time. Safe for any number of concurrent callers."""

    def __init__(self, count: int, limits: Limits) -> None:
        self._limits = limits
        self._turns = asyncio.Semaphore(count)
        self._idle: list[_Child] = []
        self._closed = False

    async def answer(self, task: Task) -> Contents | Entities:
        """Raises NotReadable when the task is too much for a process, ProcessesUnavailable."""
        async with self._turns:
            try:
                return await self._attempt(task)
            except Ended as error:
                if error.code != -signal.SIGKILL:
                    raise NotReadable(_reason(error)) from error
            # Ended by somebody else, for memory perhaps that others have used: not for what is in the document.
            try:
                return await self._attempt(task)
            except Ended as error:
                raise NotReadable(_reason(error)) from error

    async def close(self) -> None:
        self._closed = True
        while self._idle:
            await self._idle.pop().end()

    async def _attempt(self, task: Task) -> Contents | Entities:
        child = await self._ready()
        try:
            async with asyncio.timeout(self._limits.wall_seconds):
                answer = await child.answer(task)
        except TimeoutError as error:
            await child.end()
            raise NotReadable(f"it was not read after {self._limits.wall_seconds:g} s") from error
        except BaseException:
            await child.end()
            raise
        if isinstance(answer, Broken):
            await child.end()
            raise NotReadable(answer.reason)
        if child.worn or self._closed:
            await child.end()
        else:
            self._idle.append(child)
        return answer

    async def _ready(self) -> _Child:
        while self._idle:
            child = self._idle.pop()
            if not child.worn:
                return child
            await child.end()
        try:
            return _Child(await self._started())
        except OSError as error:
            raise ProcessesUnavailable(f"no process can be started to read documents: {error}") from error

    async def _started(self) -> Process:
        limits = self._limits
        return await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", PROGRAM, str(os.getpid()), str(limits.memory), str(limits.cpu_seconds)),
            stdin=PIPE,
            stdout=PIPE,
            stderr=asyncio.subprocess.DEVNULL,
            cwd=_ROOT,
            env={name: os.environ[name] for name in _INHERITED if name in os.environ} | _ONE_THREAD,
            start_new_session=True,
        )


def _reason(error: Ended) -> str:
    match error.code:
        case code if code == -signal.SIGPROF:
            return "it takes more time of the processor than there is for one document"
        case None:
            return "the process that read it gave no answer that can be understood"
        case code if code < 0:
            return f"the process that read it was ended by {signal.Signals(-code).name}"
        case code:
            return f"the process that read it ended with code {code}"
