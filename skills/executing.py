"""Carrying out one call of a skill, wherever it runs; whatever becomes of it is a result."""

from __future__ import annotations

import asyncio
import contextlib
import os
import threading
import time
from collections.abc import Callable
from typing import Any, Final

import msgspec

from domain.skill import Isolation
from domain.workflow import LARGEST_INLINE, Value
from eventstore.blobs import BlobMissing, Blobs, BlobTooLarge
from eventstore.envelope import now
from skills.calling import called, called_here, given_by
from skills.isolation.confining import unenforced
from skills.isolation.exchange import BOUNDS, Answer, Bounds, Call, Done, Told, Undone
from skills.isolation.processes import Pool, isolated
from skills.isolation.rights import effective, stricter
from skills.protocol import Failed, Result, Succeeded, Work
from skills.skill import Context, Places, Progress, Skill

_LONGEST: Final = 4_000
_LONGEST_NOTE: Final = 1_000


def importable(skill: Skill[Any, Any]) -> tuple[str, str]:
    """Where another process finds it: module and qualified name. Raises ValueError for what only this one knows."""
    module, name = skill.function.__module__, skill.function.__qualname__
    if module == "__main__" or "<" in name:
        raise ValueError(
            f"{skill.name} runs in another process: it must be a function of a module that can be imported"
        )
    return module, name


class Executor:
    """`processes`: of the pool, as many as there are processors if not given. `unenforced`: isolated skills run even
    where this machine cannot keep all limits; `places`: what skills that look at files may look at. Safe for any number
    of concurrent callers."""

    def __init__(
        self,
        blobs: Blobs,
        *,
        worker: str = "",
        processes: int | None = None,
        unenforced: bool = False,
        bounds: Bounds = BOUNDS,
        places: Places | None = None,
    ) -> None:
        self._blobs = blobs
        self._worker = worker
        self._pool = Pool(processes or os.cpu_count() or 1)
        self._lenient = unenforced
        self._bounds = bounds
        self._places = places

    async def run(self, skill: Skill[Any, Any], call: Work, progress: Progress | None = None) -> Result:
        """For as long as it may take. `progress` is called in this thread. Raises LogUnavailable when input or output
        belong in the object store and that is away."""
        began = time.monotonic()
        limit = asyncio.timeout(call.timeout)
        try:
            async with limit:
                answer = await self._answer(skill, call.begun(now()), _passed_on(progress))
        except TimeoutError:
            reason = f"no result after {call.timeout:g} s" if limit.expired() else "TimeoutError"
            answer = Undone(reason, late=limit.expired())
        except OSError as error:
            answer = Undone(f"no process was started for it: {error}")
        return await self._result(skill, answer, time.monotonic() - began)

    async def close(self) -> None:
        await self._pool.close()

    async def _answer(self, skill: Skill[Any, Any], call: Work, tell: Callable[[Told], None]) -> Answer:
        allowed = call.security.skills
        if allowed is not None and skill.name not in allowed:
            return Undone(f"the run may not use the skill {skill.name}", retryable=False)
        try:
            given = await self._input(call.input)
        except BlobMissing as error:
            return Undone(f"its input is not stored any more: {error}", retryable=False)
        isolation = stricter(call.isolation, skill.specification.isolation)
        if isolation is not None or skill.runs == "isolated":
            return await self._isolated(skill, call, given, isolation or Isolation(), tell)
        if skill.runs == "process":
            return await self._pool.carry_out(_call(skill, call, given, self._places), tell)
        return await _here(skill, call, given, tell, self._places)

    async def _isolated(
        self, skill: Skill[Any, Any], call: Work, given: bytes, isolation: Isolation, tell: Callable[[Told], None]
    ) -> Answer:
        rights = effective(isolation, call.security)
        missing = unenforced(rights)
        if missing and not self._lenient:
            return Undone(f"this machine cannot isolate it: {'; '.join(missing)}", retryable=False)
        return await isolated(_call(skill, call, given, self._places), rights, self._bounds, tell)

    async def _input(self, value: Value) -> bytes:
        """Raises BlobMissing, LogUnavailable."""
        return await self._blobs.get(value.hash) if value.hash else msgspec.json.encode(value.inline)

    async def _result(self, skill: Skill[Any, Any], answer: Answer, seconds: float) -> Result:
        """`cost` is what it reports itself; what its specification says is added by whoever asked."""
        cost = sum(answer.costs)
        match answer:
            case Undone(reason, retryable, invalid, late=late):
                return Failed(reason[:_LONGEST], retryable, invalid, self._worker, seconds, cost, late)
            case Done(output, _, exchanges):
                try:
                    value = await self._value(skill, output)
                except (msgspec.DecodeError, BlobTooLarge) as error:
                    reason = f"what it gives is not what it says: {error}"
                    return Failed(reason[:_LONGEST], False, False, self._worker, seconds, cost)
                return Succeeded(value, self._worker, seconds, cost, exchanges)

    async def _value(self, skill: Skill[Any, Any], output: bytes) -> Value:
        """Raises DecodeError, BlobTooLarge, LogUnavailable."""
        given = given_by(skill, output)
        if len(output) > LARGEST_INLINE:
            return Value(hash=await self._blobs.put(output), size=len(output))
        return Value(inline=given)


def _call(skill: Skill[Any, Any], call: Work, given: bytes, places: Places | None) -> Call:
    module, name = importable(skill)
    return Call(module, name, given, call.user, call.system, call.security, places)


def _passed_on(progress: Progress | None) -> Callable[[Told], None]:
    """Into this thread, from whichever it is told in."""
    if progress is None:
        return lambda _: None
    loop = asyncio.get_running_loop()

    def tell(told: Told) -> None:
        fraction = min(1.0, max(0.0, told.fraction))
        loop.call_soon_threadsafe(lambda: progress(fraction, told.note[:_LONGEST_NOTE]))

    return tell


async def _here(
    skill: Skill[Any, Any], call: Work, given: bytes, tell: Callable[[Told], None], places: Places | None
) -> Answer:
    progress: Progress = lambda fraction, note="": tell(Told(fraction, note))  # noqa: E731
    context = Context(call.user, call.system, call.security, progress, places=places)
    if skill.runs == "async":
        return await called_here(skill, given, context)
    return await _in_thread(lambda: called(skill, given, context), f"skill-{skill.name}")


async def _in_thread(work: Callable[[], Answer], name: str) -> Answer:
    """A thread of its own, that nobody waits for when it is late or the process ends."""
    loop = asyncio.get_running_loop()
    answered: asyncio.Future[Answer] = loop.create_future()

    def settle(answer: Answer) -> None:
        if not answered.done():
            answered.set_result(answer)

    def run() -> None:
        answer = work()
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
            loop.call_soon_threadsafe(settle, answer)

    threading.Thread(target=run, name=name, daemon=True).start()
    return await answered
