"""What skills that give commands need of the platform."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any, Protocol

from msgspec import Struct

from skills.skill import Context, SkillFailed


class Given(Struct, frozen=True):
    """The recorded outcome of a command of a `type`: the same however often it is given. `category` and `stream_id` are
    what it was given to, `refusal` is the name of the reason where it was not accepted."""

    command_id: str
    type: str
    accepted: bool
    category: str
    stream_id: str
    version: int
    position: int
    refusal: str = ""
    reason: str = ""
    duplicate: bool = False


class Standing(Struct, frozen=True):
    """How something is that takes its time. `ended` with an `outcome` of its own; `details` are what is known of it."""

    ended: bool
    outcome: str = ""
    details: dict[str, Any] = {}


class NotACommand(Exception):
    """It was not recorded: there is no such command, or its data are not what it takes. Every fault at once."""


class NotNow(Exception):
    """The log does not answer: the same command may be given again."""


class Commands(Protocol):
    """Where commands are given and their consequences are seen."""

    async def give(self, type: str, stream_id: str | None, data: Mapping[str, Any], id: str, context: Context) -> Given:
        """One command, under the `id` under which it counts once; on behalf of the actor of the context, with its
        tenant, correlation and trace. Raises NotACommand, NotNow."""
        ...

    async def outcome_of(self, category: str, id: str) -> Standing | None:
        """How the aggregate stands, by the log and not by a read model; None: there is none. Raises NotNow."""
        ...


async def give(
    commands: Commands, type: str, stream_id: str | None, data: Mapping[str, Any], context: Context
) -> Given:
    """Under an id that follows from that of the call: a repeated call has one effect. Raises SkillFailed, also when it
    was refused, and when the id was taken by another command."""
    id = command_id(context.system.call)
    try:
        given = await commands.give(type, stream_id or None, data, id, context)
    except NotACommand as error:
        raise SkillFailed(f"{type} was not given: {error}", retryable=False) from error
    except NotNow as error:
        raise SkillFailed(f"{type} was not given: {error}") from error
    if given.duplicate and (given.type != type or stream_id not in (None, "", given.stream_id)):
        taken = f"its id {id} was taken by {given.type} to {given.category}/{given.stream_id}"
        raise SkillFailed(f"{type} was not given: {taken}", retryable=False)
    if not given.accepted:
        raise SkillFailed(f"{type} was refused: {given.refusal}: {given.reason}", retryable=False)
    return given


def command_id(call: str) -> str:
    """Of the command of a call: nothing that people would call a command of theirs."""
    return f"call-{hashlib.sha256(call.encode()).hexdigest()[:32]}"
