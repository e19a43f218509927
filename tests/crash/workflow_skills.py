"""The skills of the story as they are done: before anything else, each call is a line in a file, on the disk."""

import asyncio
import os
import time
from collections.abc import Awaitable, Callable, Iterable
from typing import Any, Literal

from msgspec import structs

from domain.skill import Specification
from skills.skill import Context, Skill, SkillFailed
from tests.crash.workflow_story import SKILLS, Broken, specification

Moment = Literal["taken", "done"]
"""Of a call: before its effect, and after it."""

At = Callable[[Moment, str], Awaitable[None]]
"""What happens at a moment of a call, by its id."""


async def nothing(moment: Moment, call: str) -> None:
    del moment, call


def skills(case: str, ledger: str, names: Iterable[str] = SKILLS, at: At = nothing) -> list[Skill[Any, Any]]:
    """Of one case, each with the name of the case before it."""
    return [_skill(case, name, ledger, at) for name in names]


def _skill(case: str, name: str, ledger: str, at: At) -> Skill[Any, Any]:
    async def work(given: Any, context: Context) -> Any:
        await at("taken", context.system.call)
        _write(ledger, f"{context.system.call} {context.system.attempt} {time.time()}\n")
        await at("done", context.system.call)
        await asyncio.sleep(0.001)
        try:
            return SKILLS[name](given)
        except Broken as error:
            raise SkillFailed(str(error)) from error

    return Skill(f"{case}-{name}", _named(case, name), "async", work, Any, Any)


def _named(case: str, name: str) -> Specification:
    known = specification(name)
    return structs.replace(known, fallback=f"{case}-{known.fallback}") if known.fallback else known


def _write(ledger: str, line: str) -> None:
    written = os.open(ledger, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(written, line.encode())
    os.fsync(written)
    os.close(written)
