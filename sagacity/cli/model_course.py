"""What the log says of a model's course, over HTTP."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from datetime import datetime
from typing import Final

import httpx
import msgspec

from api.links import path_of
from eventstore.envelope import Recorded, recorded
from eventstore.errors import HistoryBroken
from sagacity.cli import UserError
from sagacity.cli.connecting import Api, ApiPlace, open_api, problem_of, unreachable
from sagacity.plotting.course import TYPES, Told

_NDJSON: Final = "application/x-ndjson"


async def course_of(
    target: ApiPlace, id: str, since: int | datetime | None, until: int | datetime | None
) -> list[Told]:
    """Raises UserError, also when there is no such model."""
    async with open_api(target) as api:
        await api.get(f"{path_of('model', id)}/events", limit=1)
        query = {
            "category": "model,experiment,monitor",
            "type": ",".join(TYPES),
            **{name: _text(moment) for name, moment in (("after", since), ("until", until)) if moment is not None},
        }
        async with aclosing(_events(api, query)) as events:
            return [
                Told(event.time, msgspec.json.decode(event.envelope.data, type=TYPES[event.type]))
                async for event in events
                if _is_of(id, event)
            ]


def _is_of(id: str, event: Recorded) -> bool:
    """The ids of experiments are `<model>-<version>`."""
    stream = event.stream
    return id == (stream.id.rpartition("-")[0] if stream.category == "experiment" else stream.id)


async def _events(api: Api, query: dict[str, str]) -> AsyncGenerator[Recorded]:
    try:
        headers = {"Accept": _NDJSON}
        async with api.client.stream("GET", "/api/v1/events", params=query, headers=headers) as answer:
            if answer.status_code >= 400:
                await answer.aread()
                raise problem_of(api.url, answer)
            async for line in answer.aiter_lines():
                yield recorded(0, line.encode())
    except httpx.HTTPError as error:
        raise unreachable(api.url, error) from error
    except HistoryBroken as error:
        raise UserError(f"{api.url} does not answer with events: {error}") from error


def _text(moment: int | datetime) -> str:
    return str(moment) if isinstance(moment, int) else moment.isoformat()
