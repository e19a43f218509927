"""The audit trail, live events, and events from outside."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from typing import Annotated, Any, Final

import msgspec
from litestar import Request, Response, Router, WebSocket, get, post, websocket
from litestar.params import Parameter
from litestar.response import Stream

from api.live import EventFilter, Live
from api.metrics import SUBSCRIBERS
from api.problems import BodyRefused
from api.services import Services
from eventstore.envelope import Recorded
from eventstore.store import EventStore
from handlers.inbound import InvalidCloudEvent
from projections.queries import BadQuery, read_time

_SCAN: Final = 50_000
"""Events looked at for one page; a filter that matches little gives its page a `next` link to go on from there."""

MAX_LIMIT: Final = 1_000

Limit = Annotated[int, Parameter(ge=1, le=MAX_LIMIT, description="Items on a page")]
After = Annotated[str | None, Parameter(description="A position, or an RFC 3339 time: only what comes after")]
Until = Annotated[str | None, Parameter(description="A position, or an RFC 3339 time: nothing after it")]
Category = Annotated[str | None, Parameter(description="Categories, comma-separated")]
Type = Annotated[str | None, Parameter(query="type", description="Event types, comma-separated")]
Correlation = Annotated[str | None, Parameter(description="Everything that belongs to one conversation")]


class Verdict(msgspec.Struct, frozen=True, omit_defaults=True):
    """What became of one published event."""

    id: str
    accepted: bool
    subject: str | None = None
    reason: str | None = None


def document(event: Recorded) -> bytes:
    """The stored document with its position in front; the rest is byte for byte what the log holds."""
    return b'{"position":%d,' % event.position + event.raw[1:]


def page_of(events: Sequence[Recorded], links: dict[str, str]) -> bytes:
    return b'{"items":[' + b",".join(map(document, events)) + b'],"_links":' + msgspec.json.encode(links) + b"}"


async def position_of(store: EventStore, text: str | None, name: str) -> int | None:
    """A position as it is; for a time, the last position not after it. Raises BadQuery."""
    if text is None:
        return None
    if text.isdigit():
        return int(text)
    try:
        moment = read_time(text)
    except ValueError as error:
        raise BadQuery([(name, f"{text!r} is neither a position nor an RFC 3339 time")]) from error
    low, high = 0, (await store.state()).last
    while low < high:
        middle = (low + high + 1) // 2
        event = await store.reader.at(middle)
        low, high = (middle, high) if event is not None and event.time <= moment else (low, middle - 1)
    return low


async def scan(
    store: EventStore, after: int, until: int | None, chosen: EventFilter, limit: int
) -> tuple[list[Recorded], int, bool]:
    """(matching events, where the look ended, whether there may be more)."""
    found: list[Recorded] = []
    position, looked = after, 0
    while looked < _SCAN:
        page = await store.read(position, min(1_000, max(limit, 100)))
        for event in page:
            if until is not None and event.position > until:
                return found, position, False
            position = event.position
            looked += 1
            if chosen.matches(event):
                found.append(event)
                if len(found) == limit:
                    return found, position, True
        if not page:
            return found, position, False
    return found, position, True


def events_router(services: Services) -> Router:
    @get("/events", summary="The audit trail")
    async def trail(
        request: Request[Any, Any, Any],
        after: After = None,
        until: Until = None,
        category: Category = None,
        event_type: Type = None,
        correlation_id: Correlation = None,
        limit: Limit = 100,
    ) -> Response[Any]:
        """Every event, oldest first. `Accept: application/x-ndjson` streams all of it."""
        start = await position_of(services.store, after, "after") or 0
        end = await position_of(services.store, until, "until")
        chosen = EventFilter(category, event_type, correlation_id)
        if "application/x-ndjson" in request.headers.get("accept", ""):
            return Stream(_lines(services.store, start, end, chosen), media_type="application/x-ndjson")
        found, reached, more = await scan(services.store, start, end, chosen, limit)
        links = {"self": str(request.url.path)}
        if more:
            query = {name: value for name, value in request.query_params.items() if name != "after"}
            pairs = "&".join(f"{name}={value}" for name, value in {**query, "after": reached}.items())
            links["next"] = f"{request.url.path}?{pairs}"
        return Response(
            page_of(found, links), media_type="application/json", headers={"X-Position": str(services.live.position)}
        )

    @post("/events", summary="Publish events of other systems (CloudEvents 1.0)", status_code=202)
    async def publish(request: Request[Any, Any, Any]) -> list[Verdict]:
        """One structured event, or a batch. Stored first, handled afterwards; one verdict an event."""
        body = await request.body()
        batch = "cloudevents-batch" in request.headers.get("content-type", "")
        return [await _publish(services, each) for each in _documents(body, batch)]

    @get("/events/stream", summary="Live events (SSE)", media_type="text/event-stream")
    async def stream(
        request: Request[Any, Any, Any],
        after: After = None,
        category: Category = None,
        event_type: Type = None,
        correlation_id: Correlation = None,
    ) -> Stream:
        """The id of each message is its position; `Last-Event-ID` resumes without a gap or a repetition."""
        last = request.headers.get("last-event-id") or after
        start = await position_of(services.store, last, "after")
        chosen = EventFilter(category, event_type, correlation_id)
        return Stream(
            _server_sent(services.live, start, chosen),
            media_type="text/event-stream",
            headers={"Cache-Control": "no-cache"},
        )

    @websocket("/events/ws")
    async def live(
        socket: WebSocket[Any, Any, Any],
        after: str | None = None,
        category: str | None = None,
        event_type: Annotated[str | None, Parameter(query="type")] = None,
        correlation_id: str | None = None,
    ) -> None:
        await socket.accept()
        start = await position_of(services.store, after, "after")
        chosen = EventFilter(category, event_type, correlation_id)
        async for batch in services.live.events(start, chosen):
            for event in batch:
                await socket.send_text(document(event).decode())
            SUBSCRIBERS.set(services.live.subscribers)

    return Router("/", route_handlers=[trail, publish, stream, live], tags=["events"])


async def _lines(store: EventStore, start: int, end: int | None, chosen: EventFilter) -> AsyncGenerator[bytes]:
    position = start
    end = end if end is not None else (await store.state()).last
    while position < end:
        page = await store.read(position, 1_000)
        if not page:
            return
        position = page[-1].position
        lines = [document(event) + b"\n" for event in page if event.position <= end and chosen.matches(event)]
        if lines:
            yield b"".join(lines)


async def _server_sent(live: Live, start: int | None, chosen: EventFilter) -> AsyncGenerator[bytes]:
    yield b": connected\n\n"
    async for batch in live.events(start, chosen):
        SUBSCRIBERS.set(live.subscribers)
        if not batch:
            yield b": still here\n\n"
        else:
            yield b"".join(
                b"id: %d\nevent: %s\ndata: %s\n\n" % (event.position, event.type.encode(), document(event))
                for event in batch
            )


def _documents(body: bytes, batch: bool) -> list[bytes]:
    try:
        if batch:
            return [bytes(each) for each in msgspec.json.decode(body, type=list[msgspec.Raw])]
        msgspec.json.decode(body, type=dict[str, Any])
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise BodyRefused("malformed", 400, str(error)) from error
    return [body]


class _Identified(msgspec.Struct):
    id: str = ""


def _id_of(raw: bytes) -> str:
    """Whatever is wrong with the event, its verdict should name it."""
    try:
        return msgspec.json.decode(raw, type=_Identified).id
    except msgspec.DecodeError:
        return ""


async def _publish(services: Services, raw: bytes) -> Verdict:
    id = _id_of(raw)
    try:
        return Verdict(id, True, await services.publish_inbound(raw))
    except InvalidCloudEvent as invalid:
        return Verdict(id, False, reason=str(invalid))
