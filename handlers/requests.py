"""Commands over NATS: a request to `cmd.<category>.<command>` is answered like `POST /commands`.

The body is the same JSON (its `type` may be left out: the subject says it), the answer too, with a `status` of the
HTTP kind. Any number of processes share the requests.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any, Final

from nats.aio.msg import Msg
from nats.errors import Error as NatsError

from eventstore.connection import Connection

log = logging.getLogger(__name__)

_AT_ONCE: Final = 1_000
"""Requests under way; the client library holds back the rest, and drops what is more than it may hold."""

Answer = Callable[[str, bytes, dict[str, str]], Awaitable[bytes]]
"""(command type, body, headers in lower case) → the answer's JSON; never raises."""


async def answer_requests(connection: Connection, answer: Answer) -> None:
    """Until cancelled; then finishes the requests that are under way."""
    room = asyncio.Semaphore(_AT_ONCE)
    under_way: set[asyncio.Task[None]] = set()

    async def respond(message: Msg) -> None:
        headers = {name.lower(): value for name, value in (message.headers or {}).items()}
        body = await answer(message.subject.removeprefix("cmd."), message.data, headers)
        if not message.reply:
            return
        try:
            await message.respond(body)
        except (NatsError, OSError) as error:
            log.warning("an answer to %s was not sent: %s", message.subject, error)

    def over(task: asyncio.Task[None]) -> None:
        under_way.discard(task)
        room.release()

    async def receive(message: Msg) -> None:
        await room.acquire()
        task: asyncio.Task[Any] = asyncio.create_task(respond(message))
        under_way.add(task)
        task.add_done_callback(over)

    subscription = await connection.subscribe("cmd.>", queue="commands", cb=receive)  # pyright: ignore[reportUnknownMemberType]
    try:
        await asyncio.Event().wait()
    finally:
        await subscription.unsubscribe()
        await asyncio.gather(*under_way, return_exceptions=True)
