"""Records as they go on, told live."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Literal

from domain import record
from domain.record import Known, Unknown
from sagacity.cli.connecting import ApiPlace, open_api
from sagacity.cli.following import LOOK, Following
from sagacity.cli.output import Advance, progress
from sagacity.cli.record_lines import event_of, record_line

End = Literal["completed", "scored", "chased", "expired", "parked", "dismissed"]


async def follow_and_tell(target: ApiPlace, ids: Sequence[str], as_json: bool, *, answers: bool) -> list[End]:
    """Until all have come to an end, and which; open `answers` are waited for, or not. Raises UserError, also when
    there is no such record."""
    async with open_api(target) as api:
        with progress() as advance:
            names = [f"{id}  " if len(ids) > 1 else "" for id in ids]
            following = [
                Following(api, record.record, id, event_of, record_line, as_json=as_json, name=name)
                for id, name in zip(ids, names, strict=True)
            ]
            return await _followed(following, advance, answers=answers)


async def _followed(
    following: Sequence[Following[record.State, record.Event]], advance: Advance, *, answers: bool
) -> list[End]:
    ended: dict[int, End] = {}
    while True:
        for number, each in enumerate(following):
            if number not in ended:
                await each.look()
                end = _end(each.state)
                if end is not None and (end != "chased" or not answers):
                    ended[number] = end
        if len(following) > 1:
            advance("dealt with", len(ended), len(following))
        if len(ended) == len(following):
            return [ended[number] for number in sorted(ended)]
        await asyncio.sleep(LOOK)


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
