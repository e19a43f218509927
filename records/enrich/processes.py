"""Processes that read documents: what comes from outside may break one of them, and nothing else.

A process lives through many documents, because importing the libraries takes longer than reading one; one that was
too much for it is ended with everything it has started. It gets nothing of the platform's environment but where
programs are, and its answers are decoded as typed data, never unpickled: it may have been taken over by a document.
"""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path
from typing import Final

import msgspec
from msgspec import msgpack

from eventstore.children import Child, FrameTooLarge, ProcessEnded, bare_environment, start_child
from records.enrich.content import Answer, Broken, Contents, Entities, NotReadable, Task
from records.enrich.limits import LARGEST_ANSWER, Limits

PROGRAM: Final = "records.enrich.reading_process"
_ROOT: Final = Path(__file__).parents[2]
_OF_TESSERACT: Final = ("TESSDATA_PREFIX",)
_TASKS: Final = 500
"""After so many a process is replaced: libraries leak."""


class ProcessesUnavailable(Exception):
    """No process can be started here now."""


class _Child:
    def __init__(self, child: Child) -> None:
        self._child = child
        self._tasks = 0

    @property
    def worn(self) -> bool:
        return self._tasks >= _TASKS or self._child.ended

    async def answer(self, task: Task) -> Answer:
        """Raises ProcessEnded."""
        self._tasks += 1
        try:
            await self._child.tell(msgpack.encode(task))
            return msgpack.decode(await self._child.hear(LARGEST_ANSWER), type=Contents | Entities | Broken)
        except FrameTooLarge as error:
            return Broken(f"its text and tables have {error}")
        except msgspec.DecodeError as error:
            raise ProcessEnded(None) from error

    async def end(self) -> None:
        await self._child.end()


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
            except ProcessEnded as error:
                if error.code != -signal.SIGKILL:
                    raise NotReadable(_reason(error)) from error
            # Ended by somebody else, for memory perhaps that others have used: not for what is in the document.
            try:
                return await self._attempt(task)
            except ProcessEnded as error:
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

    async def _started(self) -> Child:
        limits = self._limits
        arguments = ("-m", PROGRAM, str(os.getpid()), str(limits.memory), str(limits.cpu_seconds))
        return await start_child(arguments, _environment(), _ROOT)


def _environment() -> dict[str, str]:
    models = {name: os.environ[name] for name in _OF_TESSERACT if name in os.environ}
    return bare_environment() | models


def _reason(error: ProcessEnded) -> str:
    match error.code:
        case code if code == -signal.SIGPROF:
            return "it takes more time of the processor than there is for one document"
        case None:
            return "the process that read it gave no answer that can be understood"
        case code if code < 0:
            return f"the process that read it was ended by {signal.Signals(-code).name}"
        case code:
            return f"the process that read it ended with code {code}"
