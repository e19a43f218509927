"""What wakes runs: messages of durable consumers, each in the hands of one process until it is acknowledged.

On the raw lane, and handed over in the moment they come: a run of three short steps costs less than what nats-py
spends on a handful of messages.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Final, NamedTuple

from nats.errors import Error as NatsError

from eventstore.connection import Connection, publication, status
from eventstore.errors import LogUnavailable
from eventstore.streams import ask, error_code

log = logging.getLogger(__name__)

_BATCH: Final = 500
_EXPIRES: Final = 5.0
"""Seconds until a request that found too little is asked again."""
_GLANCE: Final = 0.5
_PAUSE: Final = 0.2
_OVER: Final = frozenset({404, 408})
_ACK: Final = b"+ACK"
_ALIVE: Final = b"+WPI"
_END: Final = b"\r\n"


class Delivery(NamedTuple):
    """A message, where it is answered, and how often it was handed out (from 1)."""

    subject: str
    payload: bytes
    reply: bytes
    times: int
    position: int


class Listener:
    """A durable consumer of some subjects of a stream. Whoever listens to it shares its messages with all others."""

    def __init__(
        self,
        connection: Connection,
        stream: str,
        durable: str,
        subjects: Sequence[str],
        *,
        ack_wait: float,
        most_pending: int,
        room: Callable[[], Awaitable[int]],
    ) -> None:
        """What is not acknowledged after `ack_wait` seconds is delivered again; no more than `most_pending` messages
        are unacknowledged at a time, in all processes. No more are asked for than there is `room` for, which waits
        until there is some."""
        self._connection = connection
        self._stream = stream
        self._room = room
        self._durable = durable
        self._config = {
            "durable_name": durable,
            "name": durable,
            "filter_subjects": list(subjects),
            "deliver_policy": "all",
            "ack_policy": "explicit",
            "ack_wait": int(ack_wait * 1e9),
            "max_ack_pending": most_pending,
            "max_deliver": -1,
        }
        self.ready = asyncio.Event()
        self._news = asyncio.Event()
        self._wanted = 0
        self._fault = ""

    async def run(self, receive: Callable[[Delivery], None]) -> None:
        """Until cancelled; an outage of the server only interrupts. `receive` must not block."""
        while True:
            try:
                await self._create()
                self.ready.set()
                await self._listen(receive)
            except (NatsError, OSError, LogUnavailable) as error:
                if self._connection.is_closed:
                    raise
                log.warning("workflows wait for %s: %s", self._stream, error)
                await asyncio.sleep(_PAUSE)

    async def _create(self) -> None:
        request = {"stream_name": self._stream, "config": self._config}
        answer = await ask(self._connection, f"CONSUMER.CREATE.{self._stream}.{self._durable}", request)
        if error_code(answer):
            raise LogUnavailable(answer["error"]["description"])

    async def _listen(self, receive: Callable[[Delivery], None]) -> None:
        """Raises LogUnavailable when the server says that the consumer cannot be read (any more)."""
        self._fault = ""
        inbox = self._connection.new_inbox()

        def deliver(subject: bytes, reply: bytes, payload: bytes, headers: bytes) -> None:
            code = status(headers) if headers else 0
            if code:
                self._status(code, headers)
                return
            self._wanted -= 1
            if self._wanted <= 0:
                self._news.set()
            # $JS.ACK.<stream>.<consumer>.<delivered>.<position>.<sequence of this consumer>.<time>.<pending>
            words = reply.rsplit(b".", 5)
            receive(Delivery(subject.decode(), payload, reply, int(words[-5]), int(words[-4])))

        subscription = await self._connection.subscribe_raw(inbox, deliver)
        try:
            while True:
                await self._request(inbox)
        finally:
            await self._connection.unsubscribe_raw(subscription)

    def _status(self, code: int, headers: bytes) -> None:
        if code not in _OVER:
            self._fault = headers.partition(_END)[0].decode()
        self._wanted = 0
        self._news.set()

    async def _request(self, inbox: str) -> None:
        """Ask for a number of messages, and wait until they are there, or it is time to ask again."""
        self._wanted = batch = min(_BATCH, await self._room())
        request = json.dumps({"batch": batch, "expires": int(_EXPIRES * 1e9)}).encode()
        subject = f"$JS.API.CONSUMER.MSG.NEXT.{self._stream}.{self._durable}"
        await self._connection.write([publication(subject, request, reply=inbox)])
        lives, until = self._connection.lives, time.monotonic() + _EXPIRES + 1
        while self._wanted > 0 and time.monotonic() < until and self._connection.lives == lives:
            self._news.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_GLANCE):
                    await self._news.wait()
        if self._fault:
            raise LogUnavailable(f"{self._stream}: {self._fault}")


class Answers:
    """What is said of deliveries to the server; what was acknowledged together goes out together."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._frames: list[bytes] = []
        self._sending: asyncio.Task[None] | None = None

    def acknowledge(self, deliveries: Iterable[Delivery]) -> None:
        self._say(deliveries, _ACK)

    def later(self, deliveries: Iterable[Delivery], seconds: float) -> None:
        """Delivered again after so long."""
        self._say(deliveries, f'-NAK {{"delay": {int(seconds * 1e9)}}}'.encode())

    def alive(self, deliveries: Iterable[Delivery]) -> None:
        """Their time begins anew."""
        self._say(deliveries, _ALIVE)

    async def flush(self) -> None:
        while self._sending is not None:
            await asyncio.wait((self._sending,))

    def _say(self, deliveries: Iterable[Delivery], what: bytes) -> None:
        self._frames += [publication(delivery.reply.decode(), what) for delivery in deliveries]
        if self._sending is None and self._frames:
            self._sending = asyncio.get_running_loop().create_task(self._send())

    async def _send(self) -> None:
        try:
            while self._frames:
                frames, self._frames = self._frames, []
                with contextlib.suppress(NatsError, OSError):  # then they are delivered again
                    await self._connection.write(frames)
        finally:
            self._sending = None
