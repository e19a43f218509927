"""The calling itself, in whatever process or thread it is: JSON to what the skill takes, and what it gives to JSON."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable
from importlib import import_module
from operator import attrgetter
from typing import Any, Final

import msgspec

from skills.isolation.exchange import Answer, Call, Done, Told, Undone
from skills.skill import Context, Progress, Skill, SkillFailed, skill_of

_LONGEST: Final = 4_000
"""Characters of a reason."""


class InvalidInput(Exception):
    """It is not what the skill takes."""


def found_and_called(call: Call, tell: Callable[[Told], None]) -> Answer:
    """By the name of the function. Whatever becomes of it is an answer."""
    progress: Progress = lambda fraction, note="": tell(Told(fraction, note))  # noqa: E731
    context = Context(call.user, call.system, call.security, progress, places=call.places)
    try:
        skill = skill_of(attrgetter(call.function)(import_module(call.module)))
    except (Exception, SystemExit) as error:
        return undone(error, context)
    return called(skill, call.input, context)


def called(skill: Skill[Any, Any], given: bytes, context: Context) -> Answer:
    """In a thread without an event loop."""
    try:
        result = _begun(skill, given, context)
        return _done(skill, _run(result) if inspect.isawaitable(result) else result, context)
    except (Exception, SystemExit) as error:
        return undone(error, context)


async def called_here(skill: Skill[Any, Any], given: bytes, context: Context) -> Answer:
    """In the event loop."""
    try:
        result = _begun(skill, given, context)
        return _done(skill, await result if inspect.isawaitable(result) else result, context)
    except (Exception, SystemExit) as error:
        return undone(error, context)


def given_by(skill: Skill[Any, Any], output: bytes) -> Any:
    """What its JSON stands for. Raises msgspec.DecodeError where that is not what the skill says that it gives."""
    msgspec.json.decode(output, type=skill.gives)
    return msgspec.json.decode(output)


def undone(error: BaseException, context: Context) -> Undone:
    costs = tuple(context.costs)
    match error:
        case SkillFailed():
            return Undone(error.reason[:_LONGEST], error.retryable, costs=costs)
        case InvalidInput():
            return Undone(f"the input is not what it takes: {error}"[:_LONGEST], False, True, costs)
        case MemoryError():
            return Undone("it needs more memory than there is for one call", False, costs=costs)
        case _:
            return Undone(f"{type(error).__name__}: {error}"[:_LONGEST], costs=costs)


def _begun(skill: Skill[Any, Any], given: bytes, context: Context) -> Any:
    try:
        typed = msgspec.json.decode(given, type=skill.takes)
    except msgspec.ValidationError as error:
        raise InvalidInput(str(error)) from error
    return skill.function(typed, context)


def _done(skill: Skill[Any, Any], result: Any, context: Context) -> Answer:
    try:
        output = msgspec.json.encode(skill.written(result))
    except (TypeError, ValueError, msgspec.MsgspecError) as error:
        raise SkillFailed(f"what it gives is no JSON: {error}", retryable=False) from error
    return Done(output, tuple(context.costs), tuple(context.exchanges))


def _run(result: Awaitable[Any]) -> Any:
    import asyncio  # takes longer to import than most calls take

    async def awaited() -> Any:
        return await result

    return asyncio.run(awaited())
