"""One reader of the log for all rules that events set off, however many there are.

Each event is held against the rules by a few words of it, and nothing else of it is read here. What concerns a rule
waits for it. One that is behind by more than may wait reads the log by itself, a page at a time, until it has caught
up: it neither holds up the others nor fills the memory.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from typing import Final

import msgspec
from nats.errors import Error as NatsError

from domain.event_trigger import FOREIGN, OWN, Sighting
from domain.inbound import Received
from eventstore.catalogue import tag_of
from eventstore.errors import EventStoreError, HistoryBroken
from eventstore.reader import Raw
from eventstore.store import EventStore

log = logging.getLogger(__name__)

MOST_WAITING: Final = 1_000
"""Events that wait for a rule; with more of them it takes the log in pages instead of each event as it comes."""

MOST_BYTES: Final = 8 * 1024 * 1024
STRIDE: Final = 20_000
"""Positions after which those for whom nothing came are told how far the log has been read."""

_FARTHEST: Final = 50_000
"""Positions behind the end of the log at which it begins at most: who is farther behind reads by itself."""

_KINDS: Final = 2_000
"""Of events, by type and source, for which it is remembered whom they concern."""

_TOGETHER: Final = 0.05
_PAUSE: Final = 0.5
"""Seconds: for which the first one to listen waits for others, and until an interrupted reading goes on."""

_RECEIVED: Final = tag_of(Received)


class _Head(msgspec.Struct, gc=False):
    type: str
    stream: str


class _Kind(msgspec.Struct, gc=False):
    kind: str
    source: str


class _Foreign(msgspec.Struct, gc=False):
    data: _Kind


_head = msgspec.json.Decoder(_Head)
_foreign = msgspec.json.Decoder(_Foreign)


def sighting(raw: bytes) -> Sighting:
    """Of a stored event. Raises HistoryBroken for what is none."""
    try:
        head = _head.decode(raw)
        if head.type == _RECEIVED:
            data = _foreign.decode(raw).data
            return Sighting(data.kind, data.source, FOREIGN, foreign=True)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise HistoryBroken(f"the log holds what is no event: {error}") from error
    return Sighting(head.type, OWN, head.stream.partition("/")[0])


class Subscription:
    """What waits for one rule, of everything after the position `begins` (None: not known yet)."""

    def __init__(self, wants: Callable[[Sighting], bool], after: int, begins: int | None) -> None:
        self.wants = wants
        self.after = after
        self.begins = begins
        self.reached = after
        """Everything up to here was handed on."""
        self.caught_up = begins is not None
        """With all that was there when it began."""
        self.overflown = False
        self._waiting: deque[Raw] = deque()
        self._bytes = 0
        self._news = asyncio.Event()

    def take(self, event: Raw) -> None:
        self._waiting.append(event)
        self._bytes += len(event[1])
        self.overflown = len(self._waiting) >= MOST_WAITING or self._bytes >= MOST_BYTES

    def tell(self, reached: int) -> None:
        self.reached = reached
        self._news.set()

    async def next(self) -> Raw | None:
        """Waits. None: nothing waits now, but more of the log has been read."""
        while not self._waiting:
            if self._news.is_set():
                self._news.clear()
                return None
            await self._news.wait()
        event = self._waiting.popleft()
        self._bytes -= len(event[1])
        return event

    @property
    def is_empty(self) -> bool:
        return not self._waiting


class Listening:
    """`run` is to be running."""

    def __init__(self, store: EventStore) -> None:
        self._store = store
        self._all: list[Subscription] = []
        self._position: int | None = None
        self._end = 0
        self._concerned: dict[Sighting, tuple[Subscription, ...]] = {}
        self._wanted = asyncio.Event()

    def subscribe(self, wants: Callable[[Sighting], bool], after: int) -> Subscription:
        subscription = Subscription(wants, after, self._position)
        self._all.append(subscription)
        self._concerned.clear()
        self._wanted.set()
        return subscription

    def unsubscribe(self, subscription: Subscription) -> None:
        if subscription in self._all:
            self._all.remove(subscription)
            self._concerned.clear()

    async def run(self) -> None:
        """Until cancelled. Reads nothing as long as nobody listens."""
        told = ""
        while True:
            await self._wanted.wait()
            try:
                await self._begin()
                await self._read()
                told = ""
            except (EventStoreError, NatsError, OSError) as error:
                if told != str(error):
                    log.error("what happens is not heard of: %s", error)
                    told = str(error)
                await asyncio.sleep(_PAUSE)

    async def _begin(self) -> None:
        """Where the one begins that is farthest behind: those that begin together read together."""
        if self._position is None:
            await asyncio.sleep(_TOGETHER)
            self._end = (await self._store.state()).last
            behind = min((each.after for each in self._all), default=None)
            self._position = None if behind is None else max(behind, self._end - _FARTHEST)
            for each in self._all:
                each.begins = self._position
                each.caught_up = each.after >= self._end
                each.tell(each.after)

    async def _read(self) -> None:
        """Until nobody listens any more."""
        position = self._position
        if position is None:
            return self._rest()
        told = position
        async with self._store.follow(position) as feed:
            async for batch in feed.raw_batches():
                if not self._all:
                    return self._rest()
                self._hand_on(batch)
                self._position = position = batch[-1][0]
                far = position // STRIDE != told // STRIDE or told < self._end <= position
                for each in self._all:
                    each.caught_up = each.caught_up or position >= self._end
                    if far or not each.is_empty:
                        each.tell(position)
                told = position

    def _rest(self) -> None:
        self._position = None
        self._wanted.clear()

    def _hand_on(self, batch: list[Raw]) -> None:
        for event in batch:
            for each in self._concerned_by(sighting(event[1])):
                if not each.overflown and event[0] > each.after:
                    each.take(event)

    def _concerned_by(self, seen: Sighting) -> tuple[Subscription, ...]:
        """Looked up: there are many rules, and far fewer kinds of events than events."""
        found = self._concerned.get(seen)
        if found is None:
            if len(self._concerned) >= _KINDS:
                self._concerned.clear()
            found = self._concerned[seen] = tuple(each for each in self._all if each.wants(seen))
        return found
