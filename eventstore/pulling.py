"""Messages of a durable pull consumer, each handed on in the moment it comes.

nats-py's `fetch` keeps what has come until its batch is full or its time is over; at a consumer's limit of
unacknowledged messages that is seconds, in which the server believes them lost and sends them again.
"""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator
from typing import Final

from nats.aio.msg import Msg
from nats.errors import TimeoutError as NatsTimeout

from eventstore.connection import Connection
from eventstore.errors import LogUnavailable

_BATCH: Final = 100
_EXPIRES: Final = 5.0
"""Seconds until a request that found too little is asked again."""

_OVER: Final = frozenset({"404", "408"})


async def pulled(connection: Connection, stream: str, durable: str) -> AsyncGenerator[Msg]:
    """For ever. Raises LogUnavailable when the server says that the consumer cannot be read (any more)."""
    inbox = connection.new_inbox()
    subscription = await connection.subscribe(inbox)  # pyright: ignore[reportUnknownMemberType]
    request = json.dumps({"batch": _BATCH, "expires": int(_EXPIRES * 1e9)}).encode()
    try:
        while True:
            await connection.publish(f"$JS.API.CONSUMER.MSG.NEXT.{stream}.{durable}", request, reply=inbox)
            for _ in range(_BATCH):
                try:
                    message = await subscription.next_msg(_EXPIRES + 1)
                except NatsTimeout:
                    break
                headers = message.headers or {}
                status = headers.get("Status")
                if status in _OVER:
                    break
                if status is not None:
                    raise LogUnavailable(f"{stream}: {headers.get('Description', status)}")
                yield message
    finally:
        if not connection.is_closed:
            await subscription.unsubscribe()
