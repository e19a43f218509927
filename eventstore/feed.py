"""Following the log from a position: every event once, in order, first what is there, then what comes.

An ordered consumer of our own on the raw lane: an ephemeral push consumer without acknowledgements. A gap, a silent
server or a reconnect makes it start again right after the last event handed out. Deliveries collect while the
reader works, so batches grow with the backlog, and flow control is answered only when there is room.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Sequence
from typing import Final

from nats.aio.subscription import Subscription
from nats.errors import Error as NatsError

from eventstore.connection import Connection, header_value, status
from eventstore.envelope import Recorded, new_id, recorded
from eventstore.errors import LogUnavailable
from eventstore.reader import Raw
from eventstore.streams import LogLocation, ask, error_code

_HEARTBEAT: Final = 1.0
_SILENCE: Final = 3.5
"""Seconds without event or heartbeat after which the consumer is taken for lost."""

_ROOM: Final = 20_000
"""Events held back for a slow reader before flow control stops the server."""


class Feed:
    """Use as `async with Feed(...) as feed: async for batch in feed.batches(): ...`."""

    def __init__(
        self,
        connection: Connection,
        location: LogLocation = LogLocation(),
        *,
        after: int = 0,
        subjects: Sequence[str] = (),
    ) -> None:
        self._connection = connection
        self._location = location
        self._subjects = list(subjects)
        self.position = after
        """Everything up to here has been received (not: handed out)."""
        self._waiting: list[Raw] = []
        self._news = asyncio.Event()
        self._expected = 1
        self._lost = False
        self._heard = time.monotonic()
        self._stalled_reply = b""
        self._subscription: Subscription | None = None
        self._consumer = ""

    async def __aenter__(self) -> Feed:
        await self._start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stop()

    async def batches(self, limit: int = 5_000) -> AsyncIterator[list[Recorded]]:
        """Non-empty lists of at most `limit` events, for ever; ends only by cancellation."""
        async for batch in self.raw_batches(limit):
            yield [recorded(position, raw) for position, raw in batch]

    async def raw_batches(self, limit: int = 5_000) -> AsyncIterator[list[Raw]]:
        """The same as (position, bytes), for readers that decode by themselves."""
        while True:
            if not self._waiting:
                await self._wait()
                continue
            batch, self._waiting = self._waiting[:limit], self._waiting[limit:]
            if self._stalled_reply and len(self._waiting) < _ROOM:
                await self._connection.publish(self._stalled_reply.decode())
                self._stalled_reply = b""
            yield batch

    async def _wait(self) -> None:
        self._news.clear()
        if not self._lost:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._news.wait(), _HEARTBEAT)
        if self._lost or time.monotonic() - self._heard > _SILENCE:
            await self._restart()

    async def _start(self) -> None:
        self._expected = 1
        self._lost = False
        self._heard = time.monotonic()
        inbox = self._connection.new_inbox()
        self._subscription = await self._connection.subscribe_raw(inbox, self._on_delivery)
        self._consumer = new_id()
        answer = await ask(
            self._connection,
            f"CONSUMER.CREATE.{self._location.stream}.{self._consumer}",
            {
                "stream_name": self._location.stream,
                "config": {
                    "name": self._consumer,
                    "deliver_subject": inbox,
                    "deliver_policy": "by_start_sequence",
                    "opt_start_seq": self.position + 1,
                    "ack_policy": "none",
                    "max_deliver": 1,
                    "flow_control": True,
                    "idle_heartbeat": int(_HEARTBEAT * 1e9),
                    "inactive_threshold": int(30 * 1e9),
                    "mem_storage": True,
                    "num_replicas": 1,
                    **({"filter_subjects": self._subjects} if self._subjects else {}),
                },
            },
        )
        if error_code(answer):
            await self._stop()
            raise LogUnavailable(answer["error"]["description"])

    async def _stop(self) -> None:
        if self._subscription is None:
            return
        self._connection.forget_raw(self._subscription)
        with contextlib.suppress(NatsError, OSError):
            await self._subscription.unsubscribe()
        self._subscription = None
        if self._connection.is_connected:
            with contextlib.suppress(NatsError, OSError):
                await self._connection.publish(f"$JS.API.CONSUMER.DELETE.{self._location.stream}.{self._consumer}")

    async def _restart(self) -> None:
        await self._stop()
        try:
            await self._start()
        except (LogUnavailable, NatsError, OSError):
            self._lost = True
            await asyncio.sleep(0.1)

    def _on_delivery(self, _subject: bytes, reply: bytes, payload: bytes, headers: bytes) -> None:
        self._heard = time.monotonic()
        if headers and status(headers) == 100:
            self._on_control(reply, headers)
            return
        # $JS.ACK.<stream>.<consumer>.<delivered>.<position>.<sequence of this consumer>.<time>.<pending>
        words = reply.rsplit(b".", 5)
        if int(words[-3]) != self._expected:
            self._lost = True
            self._news.set()
            return
        if self._lost:
            return
        self._expected += 1
        self.position = int(words[-4])
        self._waiting.append((self.position, payload))
        self._news.set()

    def _on_control(self, reply: bytes, headers: bytes) -> None:
        stalled = reply or header_value(headers, b"Nats-Consumer-Stalled")
        if stalled:
            self._stalled_reply = stalled
            if len(self._waiting) < _ROOM:
                asyncio.get_running_loop().create_task(self._connection.publish(stalled.decode()))
                self._stalled_reply = b""
            return
        last = header_value(headers, b"Nats-Last-Consumer")
        if last and int(last) != self._expected - 1:
            self._lost = True
            self._news.set()
