"""Following the log over server-sent events: nothing missed and nothing twice, across lost connections."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from typing import Any, Final, NamedTuple

import click
import httpx
from rich.text import Text

from eventstore.errors import HistoryBroken
from sagacity.cli import UserError
from sagacity.cli.connecting import Api, ApiPlace, open_api, problem_of, unreachable
from sagacity.cli.output import console
from sagacity.cli.timeline import event_line

_LONGEST_PAUSE: Final = 5.0
_PASSING: Final = frozenset({502, 503, 504})
_SILENCE: Final = 60.0
"""Seconds without any byte (heartbeats included) after which a connection is taken for lost."""


class Filters(NamedTuple):
    category: str | None
    type: str | None
    correlation_id: str | None


class Sent(NamedTuple):
    """One server-sent event."""

    id: str
    event: str
    data: str


async def tail_events(target: ApiPlace, filters: Filters, after: int | None, limit: int | None, as_json: bool) -> None:
    """Print events until `limit` of them are printed. Raises UserError when the first connection fails."""
    count, out = itertools.count(1), console()
    async with open_api(target) as api:
        start = await _end_of_log(api) if after is None else after
        async with aclosing(_followed(api, filters, start)) as followed:
            async for sent in followed:
                if as_json:
                    click.echo(sent.data)
                else:
                    out.print(_line(api, sent))
                if next(count) == limit:
                    return


def _line(api: Api, sent: Sent) -> Text:
    try:
        return event_line(int(sent.id), sent.data.encode())
    except (ValueError, HistoryBroken) as error:
        raise UserError(f"{api.url} sends something that is no event: {error}") from error


async def _end_of_log(api: Api) -> int:
    """So that nothing is missed when the connection is lost before the first event."""
    answer = await api.send("GET", "/api/v1/events", {"limit": 1})
    return int(answer.headers.get("X-Position", 0))


async def _followed(api: Api, filters: Filters, after: int) -> AsyncGenerator[Sent]:
    position, pause, connected = str(after), 0.2, False
    while True:
        try:
            async with aclosing(_connection(api, filters, position)) as connection:
                async for sent in connection:
                    position, pause, connected = sent.id or position, 0.2, True
                    if sent.data:
                        yield sent
        except httpx.HTTPError as error:
            if not connected:
                raise unreachable(api.url, error) from error
        click.echo(f"sagacity: connection lost; going on after position {position}", err=True)
        await asyncio.sleep(pause)
        pause = min(pause * 2, _LONGEST_PAUSE)


async def _connection(api: Api, filters: Filters, position: str) -> AsyncGenerator[Sent]:
    """The events of one connection, until it ends; an empty one first: it is there.

    Raises httpx.HTTPError, UserError when it is refused.
    """
    query = {name: value for name, value in filters._asdict().items() if value is not None}
    headers = {"Accept": "text/event-stream", "Last-Event-ID": position}
    timeout = httpx.Timeout(5.0, read=_SILENCE)
    async with api.client.stream(
        "GET", "/api/v1/events/stream", params=query, headers=headers, timeout=timeout
    ) as answer:
        if answer.status_code in _PASSING:
            raise httpx.RemoteProtocolError(f"status {answer.status_code}")
        if answer.status_code != 200:
            await answer.aread()
            raise problem_of(api.url, answer)
        yield Sent("", "open", "")
        async with aclosing(server_sent(answer.aiter_lines())) as events:
            async for sent in events:
                yield sent


async def server_sent(lines: AsyncIterator[str]) -> AsyncGenerator[Sent]:
    """Cut a text/event-stream into events (HTML standard, section 9.2)."""
    fields: dict[str, Any] = {}
    async for line in lines:
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if line == "":
            if fields:
                yield Sent(fields.get("id", ""), fields.get("event", "message"), "\n".join(fields.get("data", ())))
            fields = {}
        elif name == "data":
            fields.setdefault("data", []).append(value)
        elif name in ("id", "event"):
            fields[name] = value
