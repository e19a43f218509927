"""Live events: one feed a process, any number of subscribers, each at its own position.

A subscriber reads what is at hand from memory and what is further back from the log, so a slow one is late but never
loses anything, and nobody waits for it.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import deque
from collections.abc import AsyncGenerator
from typing import Final

import msgspec
from nats.errors import Error as NatsError

from eventstore.envelope import Recorded
from eventstore.errors import LogUnavailable
from eventstore.store import EventStore

log = logging.getLogger(__name__)

_AT_HAND: Final = 10_000
_PAGE: Final = 500
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


class Live:
    def __init__(self, store: EventStore) -> None:
        self._store = store
        self._at_hand: deque[Recorded] = deque(maxlen=_AT_HAND)
        self._news = asyncio.Event()
        self.position = 0
        self.subscribers = 0

    async def run(self) -> None:
        """Follow the log until cancelled."""
        while True:
            with contextlib.suppress(LogUnavailable, NatsError, OSError):
                self.position = max(self.position, (await self._store.state()).last)
                async with self._store.follow(self.position) as feed:
                    async for batch in feed.batches():
                        self._at_hand.extend(batch)
                        self.position = batch[-1].position
                        news, self._news = self._news, asyncio.Event()
                        news.set()
            await asyncio.sleep(0.2)

    async def events(self, after: int | None, chosen: EventFilter) -> AsyncGenerator[list[Recorded]]:
        """Batches of matching events above `after` (None: from now on); an empty one is a heartbeat."""
        position = self.position if after is None else after
        self.subscribers += 1
        try:
            while True:
                news = self._news
                batch = await self._next(position)
                if batch:
                    position = batch[-1].position
                    matching = [event for event in batch if chosen.matches(event)]
                    if matching:
                        yield matching
                    continue
                try:
                    await asyncio.wait_for(news.wait(), HEARTBEAT)
                except TimeoutError:
                    yield []
        finally:
            self.subscribers -= 1

    async def _next(self, position: int) -> list[Recorded]:
        if position >= self.position:
            return []
        if self._at_hand and self._at_hand[0].position <= position + 1:
            first = position + 1 - self._at_hand[0].position
            return [self._at_hand[i] for i in range(first, min(first + _PAGE, len(self._at_hand)))]
        try:
            return await self._store.read(position, _PAGE)
        except LogUnavailable:
            await asyncio.sleep(0.5)
            return []
