"""The event store: append, load, read and follow events, on top of committer, reader and feed."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Sequence
from datetime import datetime
from itertools import takewhile
from typing import Any, Final, NamedTuple

import msgspec

from eventstore.catalogue import Catalogue, tag_of
from eventstore.committer import Committer, Message
from eventstore.connection import Connection
from eventstore.envelope import (
    NO_HASH,
    SOURCE,
    Context,
    Envelope,
    Recorded,
    StreamId,
    encode,
    hash_of,
    new_id,
    recorded,
)
from eventstore.errors import HistoryBroken, WrongVersion
from eventstore.feed import Feed
from eventstore.reader import Reader
from eventstore.streams import LogLocation, LogState, check_log
from eventstore.subjects import category_filter, event_subject

_HEADS: Final = 20_000
"""Streams whose end is remembered, so that appending to them needs no read first."""

_json = msgspec.json.Encoder()


class Head(NamedTuple):
    """The end of a stream: its last event's version and hash."""

    version: int
    hash: str


class StreamWrite(msgspec.Struct, frozen=True, gc=False):
    """New events for one stream that stands at `expected_version` (0: it does not exist yet).

    A `context` of its own replaces the one of the whole append.
    """

    stream: StreamId
    expected_version: int
    events: Sequence[msgspec.Struct]
    context: Context | None = None


class Appended(msgspec.Struct, frozen=True, gc=False):
    """The events as they are stored now; `position` is the last one's."""

    position: int
    events: Sequence[Recorded]


class EventStore:
    """Open one a process with `EventStore.open`. Safe for any number of concurrent callers."""

    def __init__(self, connection: Connection, catalogue: Catalogue, location: LogLocation, replicas: int) -> None:
        self.connection = connection
        self.catalogue = catalogue
        self.location = location
        self.reader = Reader(connection, location)
        self._committer = Committer(connection, location)
        self._clustered = replicas > 1
        self._heads: OrderedDict[StreamId, Head] = OrderedDict()

    @classmethod
    async def open(
        cls, connection: Connection, catalogue: Catalogue, location: LogLocation = LogLocation()
    ) -> EventStore:
        """Raises LogMissing or LogMisconfigured; never creates the log (see `create_log`)."""
        state = await check_log(connection, location)
        store = cls(connection, catalogue, location, state.replicas)
        await store.reader.open()
        await store._committer.open()
        return store

    async def close(self) -> None:
        """Wait for writes under way; those not sent yet fail with LogUnavailable, as do later ones."""
        await self._committer.close()
        await self.reader.close()

    @property
    def full(self) -> str | None:
        """Why every write is refused at the moment, if so."""
        return self._committer.full

    @property
    def under_way(self) -> int:
        """Writes whose outcome is not known yet."""
        return self._committer.under_way

    def take_no_more(self, reason: str | None) -> None:
        """Refuse every write with LogFull from now on; with None take them again."""
        self._committer.take_no_more(reason)

    async def append(
        self,
        stream: StreamId,
        expected_version: int,
        events: Sequence[msgspec.Struct],
        context: Context,
        *,
        timeout: float = 15.0,
    ) -> Appended:
        """Append to one stream. Raises as `append_all`."""
        return await self.append_all([StreamWrite(stream, expected_version, events)], context, timeout=timeout)

    async def append_all(self, writes: Sequence[StreamWrite], context: Context, *, timeout: float = 15.0) -> Appended:
        """Append to several streams, all or nothing, in the given order and at consecutive positions.

        Several writes for one stream must follow each other. Raises WrongVersion when one of the streams is
        elsewhere than expected (nothing is stored), WriteTooLarge (the same), or LogUnavailable after `timeout`
        seconds: then the events may or may not be there. Raises ValueError for a write without events.
        """
        documents: list[tuple[Envelope, bytes]] = []
        messages: list[Message] = []
        heads: dict[StreamId, Head] = {}
        for write in writes:
            head = heads.get(write.stream) or await self._head(write.stream, write.expected_version)
            if head.version != write.expected_version or not write.events:
                raise ValueError(f"{write.stream}: no events, or not at the version where the write before ends")
            for version, event in enumerate(write.events, write.expected_version + 1):
                envelope = self._envelope(write, version, event, head.hash, write.context or context)
                raw = encode(envelope)
                documents.append((envelope, raw))
                messages.append(Message(event_subject(self.location, write.stream, version), raw))
                head = Head(version, hash_of(raw))
            heads[write.stream] = head
        try:
            last = await self._committer.commit(messages, timeout=timeout)
        except WrongVersion:
            for stream in heads:
                self._heads.pop(stream, None)
            raise
        for stream, head in heads.items():
            self._remember(stream, head)
        first = last - len(documents) + 1
        return Appended(last, [Recorded(first + i, *document) for i, document in enumerate(documents)])

    async def load(
        self,
        stream: StreamId,
        *,
        after_version: int = 0,
        until_position: int | None = None,
        until_time: datetime | None = None,
        latest: bool = False,
        limit: int | None = None,
    ) -> list[Recorded]:
        """The stream's events, oldest first, optionally as they were at a position or time, or the first `limit`.

        An event belongs to the time in its envelope (the moment of the decision), wherever the log was copied since.
        What this store appended or loaded before is always there; `latest` (and any `until_…`) reads through the
        leader of a cluster, so that every event acknowledged to anyone is.
        Raises HistoryBroken when a version is missing, the hash chain does not hold or the end is not what it was,
        LogUnavailable.
        """
        known = self._heads.get(stream)
        events = await self.reader.load(stream, after_version=after_version, limit=limit)
        whole = limit is None or len(events) < limit
        end = after_version + len(events)
        latest = latest or until_position is not None or until_time is not None
        if whole and ((latest and self._clustered) or (known is not None and end < known.version)):
            events += await self._newer(stream, end, known)
        verify_chain(stream, events, after_version)
        if whole:
            self._compare(stream, events, after_version, known)
        if until_position is not None:
            events = [event for event in events if event.position <= until_position]
        if until_time is not None:
            events = list(takewhile(lambda event: event.time <= until_time, events))
        return events

    async def _newer(self, stream: StreamId, version: int, known: Head | None) -> list[Recorded]:
        """Through the leader; again for a second where even that falls short of what was acknowledged: a leader
        that was just deposed may not have noticed."""
        for _ in range(10):
            events = await self.reader.newer(stream, version)
            if known is None or version + len(events) >= known.version:
                return events
            await asyncio.sleep(0.1)
        return []

    def heard(self, event: Recorded) -> None:
        """Somebody was handed it by the log: to append right after it, it need not be read again."""
        self._remember(event.stream, Head(event.version, event.hash))

    def decode(self, event: Recorded) -> Any:
        """The event's data in today's schema. Raises UnknownEvent."""
        return self.catalogue.decode(event.envelope)

    async def read(self, after: int = 0, limit: int = 1_000, *, category: str | None = None) -> list[Recorded]:
        """A page of the whole log (or of one category) above a position."""
        subject = category_filter(self.location, category) if category else None
        return [recorded(p, raw) for p, raw in await self.reader.page(after, limit, subject=subject)]

    def follow(self, after: int = 0, *, categories: Sequence[str] = ()) -> Feed:
        """A feed of the log above a position that goes on with new events as they come.

        Reading it raises HistoryBroken when an event is missing from the log (where no categories are chosen).
        """
        subjects = [category_filter(self.location, category) for category in categories]
        return Feed(self.connection, self.location, after=after, subjects=subjects, gapless=True)

    async def state(self) -> LogState:
        return await check_log(self.connection, self.location)

    def _envelope(
        self, write: StreamWrite, version: int, event: msgspec.Struct, previous_hash: str, context: Context
    ) -> Envelope:
        tag = tag_of(event)
        return Envelope(
            specversion="1.0",
            id=new_id(),
            source=SOURCE,
            type=tag,
            time=context.time,
            datacontenttype="application/json",
            stream=f"{write.stream.category}/{write.stream.id}",
            streamversion=version,
            correlationid=context.correlation_id,
            actor=context.actor,
            causationid=context.causation_id,
            tenant=context.tenant,
            traceparent=context.traceparent,
            schemaversion=self.catalogue.schema_version(tag),
            previoushash=previous_hash,
            data=msgspec.Raw(_json.encode(event)),
        )

    async def _head(self, stream: StreamId, version: int) -> Head:
        """The hash that a stream's next event carries. Raises WrongVersion when it has not come that far."""
        if version < 0:
            raise ValueError(f"{stream}: {version} is no version")
        if version == 0:
            return Head(0, NO_HASH)
        known = self._heads.get(stream)
        if known is not None and known.version == version:
            return known
        event = await self.reader.event(stream, version) or await self.reader.event(stream, version, leader=True)
        if event is None:
            raise WrongVersion(str(stream), version, f"{stream} has no version {version} yet")
        return Head(version, event.hash)

    def _compare(self, stream: StreamId, events: Sequence[Recorded], after: int, known: Head | None) -> None:
        """What was acknowledged or read once must be there still, as it was; the new end is remembered."""
        if events:
            last = events[-1]
            head = Head(last.version, last.hash)
        else:
            head = Head(after, NO_HASH)
        if known is not None and known.version > after:
            same = head if head.version == known.version else None
            if head.version > known.version:
                same = Head(known.version, events[known.version - after - 1].hash)
            if same != known:
                raise HistoryBroken(f"{stream} no longer has the version {known.version} that it had")
        if events:
            self._remember(stream, head)

    def _remember(self, stream: StreamId, head: Head) -> None:
        known = self._heads.get(stream)
        if known is None or known.version < head.version:
            self._heads[stream] = head
        self._heads.move_to_end(stream)
        if len(self._heads) > _HEADS:
            self._heads.popitem(last=False)


def verify_chain(stream: StreamId, events: Sequence[Recorded], after_version: int = 0) -> None:
    """Versions without gap, each event carrying the hash of the one before. Raises HistoryBroken."""
    previous: Recorded | None = None
    for version, event in enumerate(events, after_version + 1):
        if event.version != version:
            raise HistoryBroken(f"{stream} has no version {version} (found {event.version})")
        if previous is not None and event.envelope.previoushash != previous.hash:
            raise HistoryBroken(f"{stream} version {version} does not follow from what stands before it")
        previous = event
