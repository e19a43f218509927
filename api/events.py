"""The audit trail: page by page, or all of it as NDJSON."""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from typing import Annotated, Any, Final

import msgspec
from litestar import Request, Response, Router, get
from litestar.params import QueryParameter
from litestar.response import Stream

from api.links import API, link
from api.live import EventFilter
from api.problems import NotAcceptable
from api.services import Services
from api.trail import pages, scan
from api.waiting import MinPosition, Wait, log_reached
from eventstore.envelope import Recorded
from eventstore.store import EventStore
from eventstore.subjects import is_valid_id
from projections.queries import BadQuery, read_time

MAX_LIMIT: Final = 1_000
NDJSON: Final = "application/x-ndjson"
_POSITION: Final = re.compile(r"[0-9]{1,18}")
_JSON_TOO: Final = re.compile(r"application/(json|problem\+json|\*)|\*/\*", re.IGNORECASE)
_QUERY: Final = frozenset({"after", "until", "category", "type", "correlation_id", "limit", "min_position", "wait"})
_LINE_BREAKS: Final = bytes.maketrans(b"\r\n", b"  ")

Limit = Annotated[
    int | None,
    QueryParameter(ge=1, le=MAX_LIMIT, description="Items on a page (100); NDJSON ends only with it"),
]
After = Annotated[str | None, QueryParameter(description="A position, or an RFC 3339 time: only what comes after")]
Until = Annotated[str | None, QueryParameter(description="A position, or an RFC 3339 time: nothing after it")]
Category = Annotated[str | None, QueryParameter(description="Categories, comma-separated")]
Type = Annotated[str | None, QueryParameter(name="type", description="Event types, comma-separated")]
Correlation = Annotated[str | None, QueryParameter(description="Everything that belongs to one conversation")]


def document(event: Recorded) -> bytes:
    """The stored document, byte for byte, with its position in front.

    Line breaks between the tokens of its JSON, where an old event has any, become blanks: they would end the line.
    """
    return b'{"position":%d,' % event.position + event.raw[1:].translate(_LINE_BREAKS)


def page_of(events: Sequence[Recorded], links: dict[str, str]) -> bytes:
    return b'{"items":[' + b",".join(map(document, events)) + b'],"_links":' + msgspec.json.encode(links) + b"}"


def read_position(text: str) -> int | None:
    """None for what is no position."""
    return int(text) if _POSITION.fullmatch(text) else None


async def position_of(store: EventStore, text: str | None, name: str) -> int | None:
    """A position as it is; for a time, the last position not after it. Raises BadQuery."""
    if text is None:
        return None
    position = read_position(text)
    if position is not None:
        return position
    try:
        moment = read_time(text)
    except ValueError as error:
        raise BadQuery([(name, f"{text[:100]!r} is neither a position nor an RFC 3339 time")]) from error
    low, high = 0, (await store.state()).last
    while low < high:
        middle = (low + high + 1) // 2
        event = await store.reader.at(middle)
        low, high = (middle, high) if event is not None and event.time <= moment else (low, middle - 1)
    return low


def read_filter(category: str | None, type: str | None, correlation_id: str | None) -> EventFilter:
    """An empty one is none. Raises BadQuery with every fault."""
    wrong = _wrong("category", category) + _wrong("type", type)
    if wrong:
        raise BadQuery(wrong)
    return EventFilter(category or None, type or None, correlation_id or None)


def _wrong(name: str, text: str | None) -> list[tuple[str, str]]:
    """Both are plain words, a type with dots between them; neither may reach a subject as a wildcard."""
    parts = text.split(",") if text else []
    dots = 3 if name == "type" else 0
    return [(name, f"{part[:100]!r} is no {name}") for part in parts if not is_valid_id(part.replace(".", "", dots))]


def wants_ndjson(accept: str) -> bool:
    """Raises NotAcceptable when the caller takes neither NDJSON nor JSON."""
    if NDJSON in accept or "application/ndjson" in accept:
        return True
    if accept and not _JSON_TOO.search(accept):
        raise NotAcceptable(f"{accept[:100]!r} is neither application/json nor {NDJSON}")
    return False


def events_router(services: Services) -> Router:
    @get("/events", summary="The audit trail", tags=["events"])
    async def trail(
        request: Request[Any, Any, Any],
        after: After = None,
        until: Until = None,
        category: Category = None,
        event_type: Type = None,
        correlation_id: Correlation = None,
        limit: Limit = None,
        min_position: MinPosition = None,
        wait: Wait = 5.0,
    ) -> Response[Any]:
        """Every event, oldest first. `Accept: application/x-ndjson` streams all of it."""
        _check_names(request.query_params)
        ndjson = wants_ndjson(request.headers.get("accept", ""))
        chosen = read_filter(category, event_type, correlation_id)
        known = await log_reached(services, min_position, wait)
        start = await position_of(services.store, after, "after") or 0
        end = await position_of(services.store, until, "until")
        if ndjson:
            head = max(known, (await services.store.state()).last)
            matching = pages(services.store, start, head if end is None else min(end, head), chosen, limit)
            return Stream(_lines(matching), media_type=NDJSON, headers={"X-Position": str(head)})
        found, reached, more = await scan(services.store, start, end, chosen, limit or 100)
        query = {
            "until": until,
            "category": category,
            "type": event_type,
            "correlation_id": correlation_id,
            "limit": limit,
        }
        links = {"self": link(f"{API}/events", after=after, **query)}
        if more:
            links["next"] = link(f"{API}/events", after=reached, **query)
        position = max(known, found[-1].position if found else 0)
        return Response(page_of(found, links), media_type="application/json", headers={"X-Position": str(position)})

    return Router("/", route_handlers=[trail])


def _check_names(query: Mapping[str, Any]) -> None:
    """A filter that is misspelt must not answer with everything."""
    unknown = [(name[:100], f"there is no such filter; known: {', '.join(sorted(_QUERY))}") for name in query]
    unknown = [fault for fault in unknown if fault[0] not in _QUERY]
    if unknown:
        raise BadQuery(unknown)


async def _lines(matching: AsyncGenerator[list[Recorded]]) -> AsyncGenerator[bytes]:
    async with aclosing(matching) as pages_of_it:
        async for events in pages_of_it:
            yield b"".join(document(event) + b"\n" for event in events)
