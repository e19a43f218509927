"""Following the log from a position: every event once, in order, first what is there, then what comes.

An ordered consumer of our own on the raw lane: an ephemeral push consumer without acknowledgements. A gap, a silent
server or a reconnect makes it start again right after the last event handed out. Deliveries collect while the
reader works, so batches grow with the backlog, and flow control is answered only when there is room: a slow reader
holds back at most about 40,000 events or 64 MiB, whichever is less.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import deque
from collections.abc import AsyncIterator, Sequence
from typing import Final

from nats.aio.subscription import Subscription
from nats.errors import Error as NatsError

from eventstore.connection import Connection, header_value, status
from eventstore.envelope import Recorded, new_id, recorded
from eventstore.errors import HistoryBroken, LogMissing, LogUnavailable
from eventstore.reader import Raw
from eventstore.streams import NO_STREAM, LogLocation, ask, error_code

_HEARTBEAT: Final = 1.0
_SILENCE: Final = 2.5
"""Seconds without event or heartbeat after which the consumer is taken for lost."""

_PATIENCE: Final = 3.0
"""Seconds for which a first start that gets no answer is tried again."""

_ROOM: Final = 20_000
_ROOM_BYTES: Final = 32 * 1024 * 1024
"""Events, and bytes of them, held back for a slow reader before flow control stops the server (which may have as
much again on its way)."""


class Feed:
    """Use as `async with Feed(...) as feed: async for batch in feed.batches(): ...`.

    Entering raises LogMissing, or LogUnavailable when the log does not answer for some seconds.
    """

    def __init__(
        self,
        connection: Connection,
        location: LogLocation = LogLocation(),
        *,
        after: int = 0,
        subjects: Sequence[str] = (),
        gapless: bool = False,
    ) -> None:
        """`gapless`: positions must follow each other, else reading raises HistoryBroken (never with `subjects`)."""
        self._connection = connection
        self._location = location
        self._subjects = list(subjects)
        self.position = after
        """Everything up to here has been received (not: handed out)."""
        self._handed_out = after
        self._gapless = gapless and not self._subjects
        self._waiting: deque[Raw] = deque()
        self._waiting_bytes = 0
        self._life = 0
        self._news = asyncio.Event()
        self._expected = 1
        self._lost = False
        self._heard = time.monotonic()
        self._stalled_reply = b""
        self._answering: set[asyncio.Task[None]] = set()
        self._subscription: Subscription | None = None
        self._consumer = ""

    async def __aenter__(self) -> Feed:
        deadline = time.monotonic() + _PATIENCE
        while True:
            try:
                await self._start()
                return self
            except BaseException as error:
                await self._stop()
                if not isinstance(error, LogUnavailable) or time.monotonic() > deadline:
                    raise
            await asyncio.sleep(0.1)

    async def __aexit__(self, *_: object) -> None:
        await self._stop()

    async def batches(self, limit: int = 5_000) -> AsyncIterator[list[Recorded]]:
        """Non-empty lists of at most `limit` events, for ever; ends only by cancellation."""
        async for batch in self.raw_batches(limit):
            yield [recorded(position, raw) for position, raw in batch]

    async def raw_batches(self, limit: int = 5_000) -> AsyncIterator[list[Raw]]:
        """The same as (position, bytes), for readers that decode by themselves."""
        while True:
            while not self._waiting:
                await self._wait()
            batch = [self._waiting.popleft() for _ in range(min(limit, len(self._waiting)))]
            self._waiting_bytes -= sum(len(raw) for _, raw in batch)
            if self._gapless:
                self._check(batch)
            await self._go_on()
            yield batch

    def _check(self, batch: list[Raw]) -> None:
        first, last = batch[0][0], batch[-1][0]
        if first != self._handed_out + 1 or last - first + 1 != len(batch):
            raise HistoryBroken(f"events are missing from the log between {self._handed_out} and {last}")
        self._handed_out = last

    @property
    def held_back(self) -> tuple[int, int]:
        """Events, and bytes of them, that were received and not yet handed out."""
        return len(self._waiting), self._waiting_bytes

    @property
    def _has_room(self) -> bool:
        return len(self._waiting) < _ROOM and self._waiting_bytes < _ROOM_BYTES

    async def _go_on(self) -> None:
        """Tell a server that waits for a slow reader that there is room again."""
        if self._stalled_reply and self._has_room:
            reply, self._stalled_reply = self._stalled_reply, b""
            with contextlib.suppress(NatsError, OSError):
                await self._connection.publish(reply.decode())

    async def _wait(self) -> None:
        self._news.clear()
        if not self._lost:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._news.wait(), _HEARTBEAT)
        reconnected = self._connection.lives != self._life
        if self._lost or reconnected or time.monotonic() - self._heard > _SILENCE:
            await self._restart()

    async def _start(self) -> None:
        self._expected = 1
        self._lost = False
        self._stalled_reply = b""
        self._life = self._connection.lives
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
            timeout=2.0,
        )
        if error_code(answer) == NO_STREAM:
            raise LogMissing(f"there is no stream {self._location.stream} to follow")
        if error_code(answer):
            raise LogUnavailable(answer["error"]["description"])

    async def _stop(self) -> None:
        if self._subscription is None:
            return
        subscription, self._subscription = self._subscription, None
        await self._connection.unsubscribe_raw(subscription)
        if self._connection.is_connected:
            with contextlib.suppress(NatsError, OSError):
                await self._connection.publish(f"$JS.API.CONSUMER.DELETE.{self._location.stream}.{self._consumer}")

    async def _restart(self) -> None:
        await self._stop()
        if self._connection.is_connected:
            with contextlib.suppress(LogUnavailable, LogMissing, NatsError, OSError):
                return await self._start()
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
        self._waiting_bytes += len(payload)
        self._news.set()

    def _on_control(self, reply: bytes, headers: bytes) -> None:
        stalled = reply or header_value(headers, b"Nats-Consumer-Stalled")
        if stalled:
            self._stalled_reply = stalled
            answer = asyncio.get_running_loop().create_task(self._go_on())
            self._answering.add(answer)
            answer.add_done_callback(self._answering.discard)
            return
        last = header_value(headers, b"Nats-Last-Consumer")
        if last and int(last) != self._expected - 1:
            self._lost = True
            self._news.set()
