"""Live events: one feed a process, any number of subscribers, each at its own position.

A subscriber reads what is at hand from memory and what is further back from the log, so a slow one is late but never
loses anything, and nobody waits for it.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import AsyncGenerator, Sequence
from itertools import islice
from typing import Final, NamedTuple

import msgspec
from nats.errors import Error as NatsError

from eventstore.envelope import Recorded
from eventstore.errors import EventStoreError, LogUnavailable
from eventstore.store import EventStore

log = logging.getLogger(__name__)

_AT_HAND: Final = 10_000
_AT_HAND_BYTES: Final = 32 * 1024 * 1024
_PAGE: Final = 100
_PAUSE: Final = 0.5
HEARTBEAT: Final = 15.0


class EventFilter(msgspec.Struct, frozen=True):
    """None: all. `category` and `type` may be several, comma-separated."""

    category: str | None = None
    type: str | None = None
    correlation_id: str | None = None

    def matches(self, event: Recorded) -> bool:
        return (
            (self.category is None or event.stream.category in self.category.split(","))
            and (self.type is None or event.type in self.type.split(","))
            and (self.correlation_id is None or event.envelope.correlationid == self.correlation_id)
        )


class Batch(NamedTuple):
    """Matching events, and the position up to which everything was looked at; without events, a sign of life."""

    events: Sequence[Recorded]
    position: int


class Live:
    def __init__(self, store: EventStore) -> None:
        self._store = store
        self._at_hand: deque[Recorded] = deque()
        """Events that follow each other without a gap; the last one is at `position`."""
        self._at_hand_bytes = 0
        self._news = asyncio.Event()
        self._started = asyncio.Event()
        self.position = 0
        self.subscribers = 0
        self.fault: str | None = None
        """Why nothing new is heard at the moment, if so."""

    async def run(self) -> None:
        """Follow the log until cancelled, whatever becomes of it."""
        told = ""
        while True:
            try:
                if not self._started.is_set():
                    self.position = (await self._store.state()).last
                    self._started.set()
                async with self._store.follow(self.position) as feed:
                    self.fault = None
                    async for batch in feed.batches():
                        self._take(batch)
            except (EventStoreError, NatsError, OSError) as error:
                self.fault = str(error) or type(error).__name__
                if told != self.fault:
                    log.error("live events stand still at %d: %s", self.position, self.fault)
                    told = self.fault
            await asyncio.sleep(_PAUSE)

    def _take(self, batch: list[Recorded]) -> None:
        self._at_hand.extend(batch)
        self._at_hand_bytes += sum(len(event.raw) for event in batch)
        while len(self._at_hand) > _AT_HAND or self._at_hand_bytes > _AT_HAND_BYTES:
            self._at_hand_bytes -= len(self._at_hand.popleft().raw)
        self.position = batch[-1].position
        news, self._news = self._news, asyncio.Event()
        news.set()

    async def events(
        self, after: int | None, chosen: EventFilter, heartbeat: float = HEARTBEAT
    ) -> AsyncGenerator[Batch]:
        """Batches above `after` (None: from now on), at least one every `heartbeat` seconds, empty if need be."""
        await self._started.wait()  # before that nobody knows where "now" is
        position = self.position if after is None else after
        loop = asyncio.get_running_loop()
        due = loop.time() + heartbeat
        self.subscribers += 1
        try:
            while True:
                news = self._news
                batch = await self._next(position)
                matching = [event for event in batch if chosen.matches(event)]
                position = batch[-1].position if batch else position
                if matching or loop.time() >= due:
                    due = loop.time() + heartbeat
                    yield Batch(matching, position)
                elif not batch:
                    await _wait(news, due - loop.time())
        finally:
            self.subscribers -= 1

    async def _next(self, position: int) -> Sequence[Recorded]:
        if position >= self.position:
            return []
        if self._at_hand and self._at_hand[0].position <= position + 1:
            first = position + 1 - self._at_hand[0].position
            return list(islice(self._at_hand, first, first + _PAGE))
        try:
            return await self._store.read(position, _PAGE)
        except LogUnavailable:
            await asyncio.sleep(_PAUSE)
            return []


async def _wait(news: asyncio.Event, seconds: float) -> None:
    try:
        await asyncio.wait_for(news.wait(), max(seconds, 0.0))
    except TimeoutError:
        return
