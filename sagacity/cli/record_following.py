"""Records as they go on, told live."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final, Literal

import click
import msgspec

from api.links import path_of
from domain import record
from domain.record import Known, Unknown
from sagacity.cli.connecting import Api, ApiPlace, Problem, open_api
from sagacity.cli.output import Advance, console, progress
from sagacity.cli.record_lines import event_of, record_line

LOOK: Final = 0.3
"""Seconds between two looks."""

_PASSING: Final = (502, 503, 504)
_PAGE: Final = 500

End = Literal["completed", "scored", "chased", "expired", "parked", "dismissed"]


async def follow_and_tell(target: ApiPlace, ids: Sequence[str], as_json: bool, *, answers: bool) -> list[End]:
    """Until all have come to an end, and which; open `answers` are waited for, or not. Raises UserError, also when
    there is no such record."""
    async with open_api(target) as api:
        with progress() as advance:
            following = [_Following(api, id, as_json, name=len(ids) > 1) for id in ids]
            return await _followed(following, advance, answers=answers)


async def _followed(following: Sequence[_Following], advance: Advance, *, answers: bool) -> list[End]:
    ended: dict[int, End] = {}
    while True:
        for number, each in enumerate(following):
            if number not in ended:
                end = await each.look()
                if end is not None and (end != "chased" or not answers):
                    ended[number] = end
        if len(following) > 1:
            advance("dealt with", len(ended), len(following))
        if len(ended) == len(following):
            return [ended[number] for number in sorted(ended)]
        await asyncio.sleep(LOOK)


class _Following:
    def __init__(self, api: Api, id: str, as_json: bool, *, name: bool) -> None:
        self._api = api
        self._id = id
        self._as_json = as_json
        self._name = f"{id}  " if name else ""
        self._version = 0
        self._state: record.State = Unknown()
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
        return _end(self._state)

    async def _further(self) -> list[Mapping[str, Any]]:
        path = f"{path_of('record', self._id)}/events"
        return (await self._api.get(path, after=self._version, limit=_PAGE))["items"]

    def _tell(self, document: Mapping[str, Any]) -> None:
        self._version = document["streamversion"]
        event = event_of(document)
        if event is not None:
            self._state = record.evolve(self._state, event)
        if self._as_json:
            click.echo(msgspec.json.encode(document))
        elif event is not None and (line := record_line(event)):
            time = datetime.fromisoformat(document["time"])
            self._console.print(f"{time:%Y-%m-%d %H:%M:%S}  {self._name}{line}")


def _end(state: record.State) -> End | None:
    """None while something is under way."""
    match state:
        case Unknown():
            return None
        case Known(dismissed=True):
            return "dismissed"
        case Known(parked=record.Parked()):
            return "parked"
        case Known(next=str()):
            return None
        case Known(assessment=found, follow_up=question):
            if found is not None and not found.root_gaps:
                return "completed"
            if question is not None and question.open:
                return "chased"
            return "expired" if question is not None and question.status == "expired" else "scored"
