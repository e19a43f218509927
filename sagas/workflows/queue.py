"""Giving calls to the queues of their skills, and calling them off again."""

from __future__ import annotations

import asyncio
import itertools
import logging
from typing import Any, Final

import msgspec
from nats.aio.subscription import Subscription
from nats.errors import Error as NatsError

from eventstore.connection import Connection, publication, status
from eventstore.errors import LogUnavailable, WriteTooLarge
from skills.protocol import Failed, Work, report_subject, work_subject

log = logging.getLogger(__name__)

_PATIENCE: Final = 5.0
_THERE_ALREADY: Final = 10077
"""JetStream: the subject has the one message that it may have."""

_CALLED_OFF: Final = msgspec.json.encode(Failed("cancelled", retryable=False))


class Queue:
    """Between `open` and `close` safe for any number of concurrent callers."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._numbers = itertools.count(1)
        self._answers: dict[bytes, asyncio.Future[bytes]] = {}
        self._inbox = ""
        self._subscription: Subscription | None = None

    async def open(self) -> None:
        self._inbox = self._connection.new_inbox()
        self._subscription = await self._connection.subscribe_raw(f"{self._inbox}.*", self._on_answer)

    async def close(self) -> None:
        if self._subscription is not None:
            await self._connection.unsubscribe_raw(self._subscription)

    async def put(self, work: Work) -> None:
        """On the disk of the server when this returns; the same attempt put twice is queued once, or does no harm: it
        has one result at most. Raises LogUnavailable, WriteTooLarge."""
        payload = msgspec.json.encode(work)
        if len(payload) > self._connection.max_payload - 1_024:
            raise WriteTooLarge(f"the call {work.call} has {len(payload)} bytes")
        headers = f"NATS/1.0\r\nNats-Msg-Id: {work.call}-{work.attempt}\r\n\r\n".encode()
        subject = work_subject(work.skill, work.version)
        refusal = await self._refusal(subject, payload, headers)
        if refusal:
            raise LogUnavailable(f"{subject}: {refusal.get('description')}")

    async def call_off(self, call: str, attempt: int) -> None:
        """Its result is on record, and the server takes only the first: workers look for it before they begin. Where
        that cannot be stored now, the attempt is carried out for nobody."""
        try:
            refusal = await self._refusal(report_subject(call, attempt), _CALLED_OFF)
        except LogUnavailable as error:
            refusal = {"description": str(error)}
        if refusal and refusal.get("err_code") != _THERE_ALREADY:
            log.warning("attempt %d of %s is not called off: %s", attempt, call, refusal.get("description"))

    async def _refusal(self, subject: str, payload: bytes, headers: bytes = b"") -> dict[str, Any]:
        """Empty: it is stored. Raises LogUnavailable."""
        reply = f"{self._inbox}.{next(self._numbers)}"
        answer: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        self._answers[reply.encode()] = answer
        try:
            await self._connection.write([publication(subject, payload, reply=reply, headers=headers)])
            if not await self._connection.answered(answer, _PATIENCE):
                raise LogUnavailable(f"{subject} does not answer")
        except (NatsError, OSError) as error:
            raise LogUnavailable(f"{subject}: {error}") from error
        finally:
            del self._answers[reply.encode()]
        return msgspec.json.decode(answer.result() or b"{}").get("error") or {}

    def _on_answer(self, subject: bytes, _reply: bytes, payload: bytes, headers: bytes) -> None:
        waiting = self._answers.get(subject)
        if waiting is not None and not waiting.done():
            waiting.set_result(b'{"error": {"description": "no such stream"}}' if status(headers) else payload)
