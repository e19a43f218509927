"""Skills asked as a worker asks them: JSON in, JSON out."""

import asyncio
import inspect
from datetime import timedelta

import msgspec
import pytest

from eventstore.envelope import now
from skills.skill import Context, Security, SkillFailed, System, User, skill_of


def context(call="run-1", **security):
    system = System("run", call, "step", 1, now() + timedelta(seconds=60), "talk")
    return Context(User(), system, Security("ann", **security), progress=lambda fraction, note="": None)


async def asked(skill, given, within=None):
    """The output, which is by its type."""
    result = skill.function(skill.read(given), within or context())
    written = msgspec.json.encode(skill.written(await result if inspect.isawaitable(result) else result))
    msgspec.json.decode(written, type=skill.gives)
    return msgspec.json.decode(written)


def ask(function, within=None, **given):
    return asyncio.run(asked(skill_of(function), given, within))


def refused(function, within=None, **given):
    """Why it cannot be done, now or ever."""
    with pytest.raises(SkillFailed) as failed:
        ask(function, within, **given)
    assert not failed.value.retryable
    return failed.value.reason
