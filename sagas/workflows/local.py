"""Skills in this very process. What is trusted and a coroutine is done at once in the event loop; everything else as
any worker does it: in a thread, in a process of a pool, or isolated."""

from __future__ import annotations

import asyncio
import inspect
import time
from collections.abc import Awaitable, Callable
from typing import Any, Final, Protocol

import msgspec

from domain.workflow import Value
from skills.protocol import Failed, Result, Succeeded, Work
from skills.skill import Context, Places, Progress, Skill, SkillFailed

AT_ONCE: Final = 32
"""Calls beside the event loop."""
_REASON: Final = 4_000


class Perform(Protocol):
    """Does one attempt at a call; whatever a skill does wrong is a Failed. `skills.executing.Executor.run` is one. It
    is cancelled when nobody waits any more. Raises LogUnavailable."""

    def __call__(self, skill: Skill[Any, Any], call: Work, progress: Progress | None = None) -> Awaitable[Result]: ...


class Local:
    """`beside` does what is not done in the event loop, `at_once` calls at a time; `places`: what skills that look at
    files may look at."""

    def __init__(self, beside: Perform, at_once: int = AT_ONCE, places: Places | None = None) -> None:
        self._beside = beside
        self._places = places
        self._turns = asyncio.Semaphore(at_once)

    async def __call__(self, skill: Skill[Any, Any], call: Work, progress: Progress | None = None) -> Result:
        is_here = skill.runs == "async" and skill.specification.isolation is None and call.isolation is None
        if is_here and not call.input.hash and call.security.skills is None:
            return await _here(skill, call, progress or _unheard, self._places)
        async with self._turns:
            return await self._beside(skill, call, progress)


async def _here(skill: Skill[Any, Any], call: Work, progress: Progress, places: Places | None) -> Result:
    begun = time.perf_counter()
    context = Context(call.user, call.system, call.security, progress, places=places)
    try:
        given = skill.read(call.input.inline)
    except msgspec.ValidationError as error:
        return Failed(f"the input is not what it takes: {error}"[:_REASON], retryable=False, invalid=True)
    try:
        output = await _output(skill.function, given, context)
        written = skill.written(output)
    except SkillFailed as error:
        return _failed(error.reason, error.retryable, begun, context)
    except Exception as error:
        return _failed(f"{type(error).__name__}: {error}", True, begun, context)
    seconds = time.perf_counter() - begun
    return Succeeded(Value(written), "", seconds, sum(context.costs), tuple(context.exchanges))


async def _output(function: Callable[..., Any], given: Any, context: Context) -> Any:
    result = function(given, context)
    return await result if inspect.isawaitable(result) else result


def _failed(reason: str, retryable: bool, begun: float, context: Context) -> Failed:
    return Failed(reason[:_REASON], retryable, False, "", time.perf_counter() - begun, sum(context.costs))


def _unheard(fraction: float, note: str = "") -> None:
    del fraction, note
