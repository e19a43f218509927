"""Skills in this very process. What is trusted and a coroutine is done at once in the event loop; everything else as
any worker does it: in a thread, in a process of a pool, or isolated."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any, Final, Protocol

import msgspec

from domain.workflow import Value
from eventstore.envelope import now
from skills.calling import called_here, given_by
from skills.isolation.exchange import Done, Undone
from skills.protocol import Failed, Result, Succeeded, Work
from skills.skill import Context, Places, Progress, Skill

AT_ONCE: Final = 32
"""Calls beside the event loop."""
_REASON: Final = 4_000


class Beside(Protocol):
    """Does one attempt at a call; whatever a skill does wrong is a Failed. `skills.executing.Executor.run` is one. It
    is cancelled when nobody waits any more. Raises LogUnavailable."""

    def __call__(self, skill: Skill[Any, Any], call: Work, progress: Progress | None = None) -> Awaitable[Result]: ...


class Perform(Protocol):
    """The same, perhaps after a while: `begun` is called when its turn has come."""

    def __call__(
        self, skill: Skill[Any, Any], call: Work, progress: Progress, begun: Callable[[], None]
    ) -> Awaitable[Result]: ...


class Local:
    """`beside` does what is not done in the event loop, `at_once` calls at a time; `places`: what skills that look at
    files may look at."""

    def __init__(self, beside: Beside, at_once: int = AT_ONCE, places: Places | None = None) -> None:
        self._beside = beside
        self._places = places
        self._turns = asyncio.Semaphore(at_once)

    async def __call__(
        self, skill: Skill[Any, Any], call: Work, progress: Progress, begun: Callable[[], None]
    ) -> Result:
        is_here = skill.runs == "async" and skill.specification.isolation is None and call.isolation is None
        if is_here and not call.input.hash and call.security.skills is None:
            begun()
            return await _here(skill, call.begun(now()), progress, self._places)
        async with self._turns:
            begun()
            return await self._beside(skill, call, progress)


async def _here(skill: Skill[Any, Any], call: Work, progress: Progress, places: Places | None) -> Result:
    """Its input is made from JSON and its output becomes JSON, as beside the event loop: what it changes is its own."""
    begun = time.perf_counter()
    context = Context(call.user, call.system, call.security, progress, places=places)
    answer = await called_here(skill, msgspec.json.encode(call.input.inline), context)
    seconds, cost = time.perf_counter() - begun, sum(answer.costs)
    match answer:
        case Undone(reason, retryable, invalid):
            return Failed(reason, retryable, invalid, "", seconds, cost)
        case Done(output, _, exchanges):
            try:
                written = given_by(skill, output)
            except msgspec.DecodeError as error:
                return Failed(f"what it gives is not what it says: {error}"[:_REASON], False, False, "", seconds, cost)
            return Succeeded(Value(written), "", seconds, cost, exchanges)
