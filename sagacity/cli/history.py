"""Whose history is asked for, and where it is read: from the log itself, or over HTTP."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import datetime
from typing import Any, Final, NamedTuple

import msgspec

from domain import command
from eventstore.envelope import Recorded, StreamId, recorded
from eventstore.errors import HistoryBroken
from eventstore.store import EventStore
from eventstore.subjects import event_subject, is_valid_id
from sagacity.archive.exporting import pages
from sagacity.cli import UserError
from sagacity.cli.connecting import Api
from sagacity.cli.output import progress
from sagacity.cli.timeline import names_of

_AT_ONCE: Final = 1_000


class Question(NamedTuple):
    """Exactly one of the first three is given."""

    stream: StreamId | None
    category: str | None
    correlation_id: str | None
    until: int | datetime | None

    def takes(self, event: Recorded) -> bool:
        if self.stream is not None and event.stream != self.stream:
            return False
        if self.category is not None and event.stream.category != self.category:
            return False
        if self.correlation_id is not None and event.envelope.correlationid != self.correlation_id:
            return False
        return self.until is None or (
            event.position <= self.until if isinstance(self.until, int) else event.time <= self.until
        )


async def from_log(store: EventStore, question: Question) -> AsyncIterator[Sequence[Recorded]]:
    """Oldest first. A category comes in pages, everything else at once. Raises what the store raises."""
    if question.stream is not None:
        position, moment = _bounds(question.until)
        yield await store.load(question.stream, until_position=position, until_time=moment, latest=True)
    elif question.category is not None:
        async for page in _search(store, question):
            yield page
    else:
        yield [event async for page in _search(store, question) for event in page]


async def _search(store: EventStore, question: Question) -> AsyncIterator[Sequence[Recorded]]:
    """Reads the whole log: conversations are in no index of it."""
    last = (await store.state()).last
    last = min(last, question.until) if isinstance(question.until, int) else last
    with progress() as advance:
        async for page in pages(store, 0, last):
            if question.category is None:  # a bar and lines of text would spoil each other
                advance("searching", page[-1][0], last)
            events = [event for event in (recorded(*each) for each in page) if question.takes(event)]
            if events:
                yield events


class _Page(msgspec.Struct):
    items: list[msgspec.Raw]
    links: dict[str, str] = msgspec.field(name="_links")


class _Positioned(msgspec.Struct):
    position: int


async def from_api(api: Api, question: Question) -> AsyncIterator[Sequence[Recorded]]:
    """The same over HTTP, in pages. Raises UserError, also where the API tells no history of such streams."""
    path: str | None = "/api/v1/events"
    query: Mapping[str, Any] = {"category": question.category, "correlation_id": question.correlation_id, "limit": 1000}
    if question.stream is not None:
        path, query = f"/api/v1/{question.stream.category}s/{question.stream.id}/events", {"limit": 500}
    while path is not None:
        answer = await api.send("GET", path, query)
        try:
            page = msgspec.json.decode(answer.content, type=_Page)
            events = [event for event in map(_event, page.items) if question.takes(event)]
        except (msgspec.DecodeError, HistoryBroken) as error:
            raise UserError(f"{api.url} does not answer with events: {error}") from error
        if events:
            yield events
        path, query = page.links.get("next"), {}


def _event(item: msgspec.Raw) -> Recorded:
    """The API puts the position in front of the document and leaves the rest as it is stored."""
    document = bytes(item)
    position = msgspec.json.decode(document, type=_Positioned).position
    return recorded(position, b"{" + document.removeprefix(b'{"position":%d,' % position))


def _bounds(until: int | datetime | None) -> tuple[int | None, datetime | None]:
    return (until, None) if isinstance(until, int) else (None, until)


async def causes(store: EventStore, events: Sequence[Recorded]) -> list[Recorded]:
    """What these events name as their cause, as far as the log can find it by name."""
    shown = {name for event in events for name in names_of(event)}
    wanted = {event.envelope.causationid for event in events if event.envelope.causationid} - shown
    subjects = sorted({subject for cause in wanted if (subject := _subject(store, cause))})
    found: list[Recorded] = []
    for start in range(0, len(subjects), _AT_ONCE):
        holders = await store.reader.holders(subjects[start : start + _AT_ONCE])
        found += [recorded(*holder) for holder in holders.values()]
    return found


def _subject(store: EventStore, cause: str) -> str | None:
    """Where an event stands that is named by its command (`<id>`) or its place (`category/id/version`)."""
    if is_valid_id(cause):
        return event_subject(store.location, StreamId(command.CATEGORY, cause), 1)
    place, _, version = cause.rpartition("/")
    try:
        return event_subject(store.location, StreamId.parse(place), int(version))
    except ValueError:
        return None
