"""Live events over server-sent events and WebSocket: nothing missed, nothing twice, also across reconnects."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any, Final

from litestar import Request, Router, WebSocket, get, websocket
from litestar.exceptions import WebSocketException
from litestar.response import Stream

from api.events import After, Category, Correlation, Type, document, position_of, read_filter
from api.live import EventFilter, Live
from api.services import Services
from eventstore.envelope import Recorded
from eventstore.tasks import end_tasks
from projections.queries import BadQuery

_POLICY: Final = 1008
_TRY_AGAIN: Final = 1013


def subscriptions_router(services: Services) -> Router:
    @get("/events/stream", summary="Live events (SSE)", media_type="text/event-stream", tags=["events"])
    async def stream(
        request: Request[Any, Any, Any],
        after: After = None,
        category: Category = None,
        event_type: Type = None,
        correlation_id: Correlation = None,
    ) -> Stream:
        """The id of each message is its position; `Last-Event-ID` resumes without a gap or a repetition.

        Now and then a message without data comes: a sign of life, whose id says how far the log was looked at.
        """
        chosen = read_filter(category, event_type, correlation_id)
        last = request.headers.get("last-event-id") or after
        start = await _start(services, last, "last-event-id" if last != after else "after")
        return Stream(
            _server_sent(services.live, start, chosen),
            media_type="text/event-stream",
            headers={"Cache-Control": "no-cache", "X-Accel-Buffering": "no"},
        )

    @websocket("/events/ws")
    async def live(
        socket: WebSocket[Any, Any, Any],
        after: After = None,
        category: Category = None,
        event_type: Type = None,
        correlation_id: Correlation = None,
    ) -> None:
        await socket.accept()
        try:
            chosen = read_filter(category, event_type, correlation_id)
            start = await _start(services, after, "after")
        except BadQuery as error:
            return await socket.close(code=_POLICY, reason=str(error)[:100])
        except Exception:
            return await socket.close(code=_TRY_AGAIN, reason="the log cannot be reached now")
        await _until_closed(socket, services.live, start, chosen)

    return Router("/", route_handlers=[stream, live])


async def _start(services: Services, text: str | None, name: str) -> int | None:
    """Raises BadQuery beyond the end of the log: who waits there has seen events that the log no longer has, and
    would hear nothing for a long time, and then something else."""
    start = await position_of(services.store, text, name)
    if start is not None and start > services.live.position:
        end = (await services.store.state()).last
        if start > end:
            raise BadQuery([(name, f"the log ends at {end}: it is not the one in which {start} was seen")])
    return start


async def _server_sent(live: Live, start: int | None, chosen: EventFilter) -> AsyncGenerator[bytes]:
    yield b": connected\n\n"
    async with aclosing(live.events(start, chosen)) as batches:
        async for batch in batches:
            if batch.events:
                yield b"".join(map(_message, batch.events))
            else:
                yield b": still here\nid: %d\n\n" % batch.position


def _message(event: Recorded) -> bytes:
    return b"id: %d\nevent: %s\ndata: %s\n\n" % (event.position, event.type.encode(), document(event))


async def _until_closed(socket: WebSocket[Any, Any, Any], live: Live, start: int | None, chosen: EventFilter) -> None:
    """Sending alone would never notice a client that has gone; what it says is not listened to."""
    sending = asyncio.create_task(_send(socket, live, start, chosen))
    listening = asyncio.create_task(_listen(socket))
    try:
        await asyncio.wait({sending, listening}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        await end_tasks(sending, listening)


async def _send(socket: WebSocket[Any, Any, Any], live: Live, start: int | None, chosen: EventFilter) -> None:
    async with aclosing(live.events(start, chosen)) as batches:
        async for batch in batches:
            for event in batch.events:
                await socket.send_text(document(event).decode())


async def _listen(socket: WebSocket[Any, Any, Any]) -> None:
    try:
        while True:
            await socket.receive_data(mode="text")
    except WebSocketException:
        return
