"""`skills.offline.commands.Commands` over the command handler and the log."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from domain import deployment
from domain.contexts import DECIDERS
from eventstore.errors import LogUnavailable
from handlers.command import Caller, CommandRequest, InvalidCommand
from sagacity.wiring import Core
from skills.offline.commands import Given, NotACommand, NotNow, Standing
from skills.skill import Context


class LogCommands:
    """On behalf of whoever asked for the run."""

    def __init__(self, core: Core) -> None:
        self._core = core
        self._deciders = {decider.category: decider for decider in DECIDERS}

    async def give(self, type: str, stream_id: str | None, data: Mapping[str, Any], id: str, context: Context) -> Given:
        request = CommandRequest(type=type, stream_id=stream_id, data=msgspec.json.encode(data), id=id)
        caller = Caller(
            actor=context.security.actor,
            tenant=context.security.tenant,
            correlation_id=context.system.correlation_id,
            causation_id=context.system.call,
            traceparent=context.system.traceparent,
        )
        try:
            told = await self._core.handler.handle(request, caller)
        except InvalidCommand as error:
            raise NotACommand(str(error)) from error
        except LogUnavailable as error:
            raise NotNow(str(error)) from error
        accepted = told.outcome == "accepted"
        where = told.stream.category, told.stream.id
        refusal = told.refusal or "", told.reason or ""
        version, position = told.version, told.position
        return Given(told.command_id, told.command, accepted, *where, version, position, *refusal, told.duplicate)

    async def outcome_of(self, category: str, id: str) -> Standing | None:
        try:
            state = (await self._core.aggregates.load(self._deciders[category], id, latest=True)).state
        except LogUnavailable as error:
            raise NotNow(str(error)) from error
        match state:
            case deployment.Absent():
                return None
            case deployment.Ended(version, outcome):
                return Standing(True, outcome, {"version": version})
            case _:
                return Standing(False)
