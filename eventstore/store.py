"""The event store: append, load, read and follow events, on top of committer, reader and feed."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

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
_json = msgspec.json.Encoder()


class StreamWrite(msgspec.Struct, frozen=True):
    """New events for one stream that stands at `expected_version` (0: it does not exist yet).

    A `context` of its own replaces the one of the whole append.
    """

    stream: StreamId
    expected_version: int
    events: Sequence[msgspec.Struct]
    context: Context | None = None


class Appended(msgspec.Struct, frozen=True):
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
        self._heads: OrderedDict[StreamId, tuple[int, str]] = OrderedDict()

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
        await self._committer.close()

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

        Raises WrongVersion when one of the streams is elsewhere than expected, WriteTooLarge, or LogUnavailable
        after `timeout` seconds.
        """
        documents: list[tuple[Envelope, bytes]] = []
        ends: dict[StreamId, str] = {}
        for write in writes:
            previous = ends.get(write.stream) or await self._head_hash(write.stream, write.expected_version)
            chained = self._chain(write, previous, write.context or context)
            if chained:
                documents += chained
                ends[write.stream] = hash_of(chained[-1][1])
        messages = [
            Message(event_subject(self.location, StreamId.parse(envelope.stream), envelope.streamversion), raw)
            for envelope, raw in documents
        ]
        if not messages:
            raise ValueError("there is nothing to append")
        try:
            last = await self._committer.commit(messages, timeout=timeout)
        except WrongVersion:
            for write in writes:
                self._heads.pop(write.stream, None)
            raise
        first = last - len(documents) + 1
        events = [Recorded(first + i, envelope, raw) for i, (envelope, raw) in enumerate(documents)]
        for event in events:
            self._remember(event)
        return Appended(last, events)

    async def load(
        self,
        stream: StreamId,
        *,
        after_version: int = 0,
        until_position: int | None = None,
        until_time: datetime | None = None,
        latest: bool = False,
    ) -> list[Recorded]:
        """The stream's events, oldest first, optionally as they were at a position or time.

        `latest` reads through the leader of a cluster, so that every acknowledged event is there.
        Raises HistoryBroken when a version is missing or the hash chain does not hold, LogUnavailable.
        """
        events = await self.reader.load(
            stream, after_version=after_version, until_position=until_position, until_time=until_time
        )
        if latest and self._clustered and until_position is None and until_time is None:
            events += await self.reader.newer(stream, after_version + len(events))
        verify_chain(stream, events, after_version)
        if events and until_position is None and until_time is None:
            self._remember(events[-1])
        return events

    def decode(self, event: Recorded) -> Any:
        """The event's data in today's schema. Raises UnknownEvent."""
        return self.catalogue.decode(event.envelope)

    async def read(self, after: int = 0, limit: int = 1_000, *, category: str | None = None) -> list[Recorded]:
        """A page of the whole log (or of one category) above a position."""
        subject = category_filter(self.location, category) if category else None
        return [recorded(p, raw) for p, raw in await self.reader.page(after, limit, subject=subject)]

    def follow(self, after: int = 0, *, categories: Sequence[str] = ()) -> Feed:
        """A feed of the log above a position that goes on with new events as they come."""
        subjects = [category_filter(self.location, category) for category in categories]
        return Feed(self.connection, self.location, after=after, subjects=subjects)

    async def state(self) -> LogState:
        return await check_log(self.connection, self.location)

    def _chain(self, write: StreamWrite, previous_hash: str, context: Context) -> list[tuple[Envelope, bytes]]:
        documents: list[tuple[Envelope, bytes]] = []
        for version, event in enumerate(write.events, write.expected_version + 1):
            tag = tag_of(event)
            envelope = Envelope(
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
            raw = encode(envelope)
            previous_hash = hash_of(raw)
            documents.append((envelope, raw))
        return documents

    async def _head_hash(self, stream: StreamId, version: int) -> str:
        if version == 0:
            return NO_HASH
        known = self._heads.get(stream)
        if known is not None and known[0] == version:
            return known[1]
        head = await self.reader.event(stream, version) or await self.reader.event(stream, version, leader=True)
        if head is None:
            raise WrongVersion(str(stream), version)
        return head.hash

    def _remember(self, event: Recorded) -> None:
        stream = event.stream
        self._heads[stream] = (event.version, event.hash)
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
