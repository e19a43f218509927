"""Calls in other processes: of a pool, for work of the processor, or each in one of its own, within limits."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Final

import msgspec
from msgspec import msgpack

from domain.skill import Isolation
from eventstore.children import Child, FrameTooLarge, ProcessEnded, bare_environment, start_child
from skills.isolation.exchange import (
    LARGEST_ANSWER,
    SPENT_CPU,
    SPENT_MEMORY,
    SPENT_PROCESSES,
    SPENT_WRITES,
    Answer,
    Bounds,
    Call,
    Confinement,
    Said,
    Setup,
    Told,
    Undone,
)
from skills.isolation.places import listable, readable

PROGRAM: Final = "skills.isolation.program"
_CALLS: Final = 1_000
"""After so many a process is replaced: libraries leak."""

Tell = Callable[[Told], None]


class Pool:
    """At most `count` processes at a time, each of which lives through many calls. For skills that are trusted."""

    def __init__(self, count: int) -> None:
        self._turns = asyncio.Semaphore(count)
        self._idle: list[tuple[Child, int]] = []
        self._closed = False

    async def carry_out(self, call: Call, tell: Tell) -> Answer:
        """Whoever stops waiting ends the process. Raises OSError when none can be started."""
        async with self._turns:
            child, calls = await self._ready()
            try:
                answer = await _answer(child, call, tell)
            except ProcessEnded as error:
                await child.end()
                return _ended(error.code)
            except BaseException:
                await child.end()
                raise
            if child.ended or self._closed or calls >= _CALLS:
                await child.end()
            else:
                self._idle.append((child, calls + 1))
            return answer

    async def close(self) -> None:
        self._closed = True
        while self._idle:
            await self._idle.pop()[0].end()

    async def _ready(self) -> tuple[Child, int]:
        while self._idle:
            child, calls = self._idle.pop()
            if not child.ended:
                return child, calls
            await child.end()
        child = await _started(dict(os.environ), Path.cwd(), quiet=False)
        try:
            await child.tell(msgpack.encode(Setup()))
        except BaseException:
            await child.end()
            raise
        return child, 1


async def isolated(call: Call, isolation: Isolation, bounds: Bounds, tell: Tell) -> Answer:
    """In a process of its own, in a directory of its own that is gone afterwards. Whoever stops waiting ends it. Raises
    OSError when none can be started."""
    room = Path(await asyncio.to_thread(tempfile.mkdtemp, prefix="skill-"))
    try:
        return await _in_room(call, isolation, bounds, tell, room)
    finally:
        await asyncio.to_thread(shutil.rmtree, room, ignore_errors=True)


async def _in_room(call: Call, isolation: Isolation, bounds: Bounds, tell: Tell, room: Path) -> Answer:
    confinement = Confinement(isolation, readable(), listable(), str(room), bounds)
    child = await _started(bare_environment() | {"HOME": str(room), "TMPDIR": str(room)}, room, quiet=True)
    try:
        await child.tell(msgpack.encode(Setup(confinement)))
        return await _answer(child, call, tell)
    except ProcessEnded as error:
        spent = _spent(error.code, isolation, bounds)
        return _ended(error.code) if spent is None else Undone(spent, retryable=False)
    finally:
        await child.end(ask=True)


async def _started(environment: dict[str, str], directory: Path, *, quiet: bool) -> Child:
    """It imports what this process imports, from the same places."""
    path = os.pathsep.join(entry or str(directory) for entry in sys.path)
    arguments = ("-P", "-s", "-m", PROGRAM, str(os.getpid()))
    return await start_child(arguments, environment | {"PYTHONPATH": path}, directory, quiet=quiet)


async def _answer(child: Child, call: Call, tell: Tell) -> Answer:
    """Raises ProcessEnded."""
    try:
        await child.tell(msgpack.encode(call))
        while True:
            said: Said = msgpack.decode(await child.hear(LARGEST_ANSWER), type=Said)
            if not isinstance(said, Told):
                return said
            tell(said)
    except FrameTooLarge as error:
        return Undone(f"what it gives has {error}", retryable=False)
    except msgspec.DecodeError:
        return Undone("its process gave no answer that can be understood", retryable=False)


def _spent(code: int | None, isolation: Isolation, bounds: Bounds) -> str | None:
    """Which limit it has reached."""
    found = {
        SPENT_CPU: f"it used more than the {isolation.cpu} s of the processor that it has",
        SPENT_MEMORY: f"it needs more memory than the {isolation.memory} bytes that it has",
        SPENT_PROCESSES: f"it started more than {bounds.processes} processes",
        SPENT_WRITES: f"it wrote more than {bounds.written} bytes",
    }
    return found.get(SPENT_CPU if code == -signal.SIGXCPU else code or 0)


def _ended(code: int | None) -> Undone:
    """Perhaps by somebody else, such as the kernel without memory for anybody: another attempt may go well."""
    if code is not None and code < 0:
        return Undone(f"its process was ended by {signal.Signals(-code).name}")
    return Undone(f"its process ended with code {code}")
