"""Publishing to the log: one message, or several as one atomic batch, and the log's answer to it."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Sequence
from typing import Final, NamedTuple

import msgspec
from nats.aio.subscription import Subscription
from nats.errors import Error as NatsError

from eventstore.connection import Connection, publication, status

_PATIENCE: Final = 5.0
"""Seconds to wait for an acknowledgement before looking whether the messages are there."""


class Message(NamedTuple):
    subject: str
    payload: bytes


class Ack(msgspec.Struct, frozen=True):
    """The log's answer: the position of the last message, or why nothing was stored."""

    seq: int = 0
    error: dict[str, object] | None = None

    @property
    def stored(self) -> bool:
        return self.error is None

    @property
    def code(self) -> int:
        code = (self.error or {}).get("err_code", 0)
        return code if isinstance(code, int) else 0

    @property
    def text(self) -> str:
        return str((self.error or {}).get("description", "refused"))


class Publisher:
    """Publishes on the raw lane and matches acknowledgements through one long-lived inbox."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._acks: dict[bytes, asyncio.Future[Ack | None]] = {}
        self._numbers = itertools.count(1)
        self._inbox = ""
        self._subscription: Subscription | None = None

    async def open(self) -> Publisher:
        self._inbox = self._connection.new_inbox()
        self._subscription = await self._connection.subscribe_raw(f"{self._inbox}.*", self._on_ack)
        return self

    async def close(self) -> None:
        if self._subscription is not None:
            await self._connection.unsubscribe_raw(self._subscription)
            self._subscription = None

    async def publish(self, messages: Sequence[Message], patience: float) -> Ack | None:
        """The log's answer, or None when there is none in time: then the messages may or may not be stored."""
        number = next(self._numbers)
        reply = f"{self._inbox}.{number}"
        acknowledged: asyncio.Future[Ack | None] = asyncio.get_running_loop().create_future()
        self._acks[reply.encode()] = acknowledged
        try:
            await self._connection.write(self._frames(messages, number, reply))
            if await self._connection.answered(acknowledged, min(_PATIENCE, patience)):
                return acknowledged.result()
        except (NatsError, OSError):
            pass
        finally:
            del self._acks[reply.encode()]
        return None

    def _frames(self, messages: Sequence[Message], number: int, reply: str) -> list[bytes]:
        if len(messages) == 1:
            return [publication(messages[0].subject, messages[0].payload, reply=reply)]
        head = f"NATS/1.0\r\nNats-Batch-Id: {self._inbox[-22:]}-{number}\r\nNats-Batch-Sequence: "
        frames = [
            publication(subject, payload, headers=f"{head}{place}\r\n\r\n".encode())
            for place, (subject, payload) in enumerate(messages[:-1], 1)
        ]
        last = f"{head}{len(messages)}\r\nNats-Batch-Commit: 1\r\n\r\n".encode()
        return [*frames, publication(*messages[-1], reply=reply, headers=last)]

    def _on_ack(self, subject: bytes, _reply: bytes, payload: bytes, headers: bytes) -> None:
        waiting = self._acks.get(subject)
        if waiting is None or waiting.done():
            return
        if status(headers) or not payload:  # 503: nobody serves the subject at this moment
            waiting.set_result(None)
        else:
            waiting.set_result(msgspec.json.decode(payload, type=Ack))
