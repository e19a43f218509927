"""A run as it goes on, told live."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final, Literal

import click
import msgspec

from api.links import path_of
from domain import workflow
from domain.workflow import Ended, NotStarted, Running
from sagacity.cli.connecting import Api, ApiPlace, Problem, open_api
from sagacity.cli.output import Advance, console, progress
from sagacity.cli.workflow_lines import event_of, run_line

LOOK: Final = 0.3
"""Seconds between two looks."""

_PASSING: Final = (502, 503, 504)
_PAGE: Final = 500
_OVER: Final = frozenset({"succeeded", "failed", "skipped"})

End = Literal["completed", "failed", "cancelled", "paused"]
"""`paused`: nothing goes on before somebody deals with calls that are parked."""


async def follow_and_tell(target: ApiPlace, id: str, as_json: bool) -> End:
    """Until it has come to an end, and which. A question to a person is waited for. Raises UserError, also when there
    is no such run."""
    async with open_api(target) as api:
        with progress() as advance:
            following = _Following(api, id, as_json, advance)
            while (end := await following.look()) is None:
                await asyncio.sleep(LOOK)
            return end


class _Following:
    def __init__(self, api: Api, id: str, as_json: bool, advance: Advance) -> None:
        self._api = api
        self._id = id
        self._as_json = as_json
        self._advance = advance
        self._version = 0
        self._state: workflow.State = NotStarted()
        self._console = console()

    async def look(self) -> End | None:
        """Tell what is new; where it has come to. A platform that is away for a moment is waited for."""
        try:
            while documents := await self._further():
                for document in documents:
                    self._tell(document)
                if len(documents) < _PAGE:
                    break
        except Problem as problem:
            if problem.status not in _PASSING or not self._version:
                raise
            return None
        return end_of(self._state)

    async def _further(self) -> list[Mapping[str, Any]]:
        path = f"{path_of('workflow', self._id)}/events"
        return (await self._api.get(path, after=self._version, limit=_PAGE))["items"]

    def _tell(self, document: Mapping[str, Any]) -> None:
        self._version = document["streamversion"]
        event = event_of(document)
        if event is not None:
            self._state = workflow.evolve(self._state, event)
        if isinstance(self._state, Running):
            done = sum(step.status in _OVER for step in self._state.states.values())
            self._advance("steps", done, len(self._state.states))
        if self._as_json:
            click.echo(msgspec.json.encode(document))
        elif event is not None and (line := run_line(event)):
            time = datetime.fromisoformat(document["time"])
            self._console.print(f"{time:%Y-%m-%d %H:%M:%S}  {line}")


def end_of(state: workflow.State) -> End | None:
    """None while something is under way, or a person or the clock is waited for."""
    match state:
        case NotStarted():
            return None
        case Ended(outcome=outcome):
            return outcome
        case Running(open=open):
            waits = any(
                each.status == "running" and (state.steps[name].approval or state.steps[name].wait)
                for name, each in state.states.items()
            )
            parked = bool(open) and all(state.calls[call].status == "parked" for call in open)
            return "paused" if parked and not waits else None
