"""One application's log as the library's recorders need it: insert, select, notifications, tracking.

Everything here runs on the event loop of `loop.py`. Writes go straight to the group commit: with the head of a stream
known, an insert is one publish (or one atomic batch) without any read, and the server refuses what comes second.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Sequence
from typing import Final
from uuid import UUID

from eventsourcing.persistence import DataError, IntegrityError, Notification, StoredEvent, Tracking

from eventstore.committer import Committer, Message
from eventstore.connection import Connection
from eventstore.envelope import Recorded, StreamId, recorded
from eventstore.errors import LogUnavailable, WrongVersion
from eventstore.feed import Feed
from eventstore.persistence.stored import (
    AGGREGATE,
    NO_STREAM,
    Batch,
    Head,
    aggregate_stream,
    head_after,
    notifications,
    originator_version,
    stored_event,
    tracking_stream,
)
from eventstore.reader import Reader
from eventstore.store import verify_chain
from eventstore.streams import LogLocation, check_log
from eventstore.subjects import category_filter, event_subject, stream_filter

_HEADS: Final = 20_000
_PAGE: Final = 1_000


class RecorderLog:
    """Open one with `RecorderLog.open`; safe for any number of concurrent callers on its loop."""

    def __init__(
        self, connection: Connection, location: LogLocation, application: str, *, clustered: bool, timeout: float
    ) -> None:
        self._connection = connection
        self._location = location
        self._application = application
        self._clustered = clustered
        self._timeout = timeout
        self._reader = Reader(connection, location)
        self._committer = Committer(connection, location)
        self._heads: OrderedDict[StreamId, Head] = OrderedDict()

    @classmethod
    async def open(
        cls, connection: Connection, location: LogLocation, application: str, *, timeout: float = 15.0
    ) -> RecorderLog:
        """Open a log that is there. Raises LogMissing, LogMisconfigured or LogUnavailable.

        `timeout`: seconds until an insert is given up.
        """
        state = await check_log(connection, location)
        log = cls(connection, location, application, clustered=state.replicas > 1, timeout=timeout)
        await log._reader.open()
        await log._committer.open()
        return log

    async def close(self) -> None:
        await self._committer.close()
        await self._reader.close()

    async def insert(self, events: Sequence[StoredEvent], tracking: Tracking | None = None) -> list[int]:
        """Record the events, and the tracking where given, atomically; the events' positions.

        Raises IntegrityError when one of them is recorded already, DataError or WriteTooLarge for what can never be
        recorded, LogUnavailable.
        """
        placed = [(aggregate_stream(event.originator_id), event) for event in events]
        _check_versions(placed)
        if not placed and tracking is None:
            return []
        batch = await self._chained(placed, tracking)
        while True:
            try:
                last = await self._commit(batch)
            except WrongVersion as conflict:
                # Somebody else extended one of the streams. Whether with our version, only the new heads tell.
                await asyncio.gather(*(self._last(stream) for stream in batch.heads))
                tried, batch = batch, await self._chained(placed, tracking)
                if batch.ordinals == tried.ordinals:
                    raise LogUnavailable(f"{conflict}, but the log does not show it") from conflict
            else:
                return list(range(last - len(placed) + 1, last + 1))

    async def select(
        self, originator_id: UUID | str, gt: int | None, lte: int | None, desc: bool, limit: int | None
    ) -> list[StoredEvent]:
        stream = aggregate_stream(originator_id)
        if desc and limit is not None and lte is None:
            events = await self._newest(stream, limit)
        elif gt is not None:
            events = await self._above(stream, gt)
        else:
            events = await self._load(stream)
        found = [
            event
            for event in map(stored_event, events)
            if (gt is None or event.originator_version > gt) and (lte is None or event.originator_version <= lte)
        ]
        found.sort(key=lambda event: event.originator_version, reverse=desc)
        return found[:limit]

    async def notifications(
        self, after: int, limit: int, stop: int | None = None, topics: Sequence[str] = ()
    ) -> list[Notification]:
        """At most `limit` aggregate events above position `after`, up to and including `stop`."""
        found: list[Notification] = []
        while len(found) < limit and (stop is None or after < stop):
            page = await self._page(after, _PAGE if topics else min(limit - len(found), _PAGE))
            if not page:
                break
            found += notifications([event for event in page if stop is None or event.position <= stop], topics)
            after = page[-1].position
        return found[:limit]

    async def last_notification_id(self) -> int | None:
        state = await check_log(self._connection, self._location)
        last = await self._reader.at(state.last) if state.last else None
        if last is not None and last.stream.category != AGGREGATE:
            last = await self._last_on(category_filter(self._location, AGGREGATE))
        return last.position if last else None

    async def last_tracking_id(self, application_name: str) -> int | None:
        last = await self._last(tracking_stream(application_name))
        return originator_version(last) if last else None

    def feed(self, after: int) -> Feed:
        return Feed(self._connection, self._location, after=after, gapless=True)

    async def _commit(self, batch: Batch) -> int:
        """The position of the last document. Raises as `Committer.commit`."""
        messages = [Message(event_subject(self._location, s, n), raw) for s, n, raw in batch.documents]
        last = await self._committer.commit(messages, timeout=self._timeout)
        for stream, head in batch.heads.items():
            self._remember(stream, head)
        return last

    async def _page(self, after: int, limit: int) -> list[Recorded]:
        """On a cluster a replica may not have the newest events yet: what it calls the end, the leader confirms."""
        page = [recorded(position, raw) for position, raw in await self._reader.page(after, limit)]
        if not page and self._clustered:
            newer = await self._reader.at(after + 1)
            page = [newer] if newer else []
        return page

    async def _chained(self, placed: Sequence[tuple[StreamId, StoredEvent]], tracking: Tracking | None) -> Batch:
        """The documents for what is to be recorded, after what is known to be recorded. Raises IntegrityError."""
        first: dict[StreamId, int] = {}
        if tracking is not None:
            first[tracking_stream(tracking.application_name)] = tracking.notification_id
        for stream, event in placed:
            first.setdefault(stream, event.originator_version)
        heads = dict(zip(first, await asyncio.gather(*map(self._head, first, first.values())), strict=True))
        for stream, event in placed:
            if event.originator_version <= heads[stream].highest:
                await self._refuse_recorded(stream, heads[stream], event.originator_version)
        batch = Batch(self._application, heads, tracking)
        if tracking is not None:
            stream = tracking_stream(tracking.application_name)
            if tracking.notification_id <= heads[stream].highest:
                raise IntegrityError(f"{tracking} is not above {heads[stream].highest}, which is recorded already")
            batch.add_tracking(stream, tracking)
        for stream, event in placed:
            batch.add_event(stream, event)
        return batch

    async def _head(self, stream: StreamId, version: int) -> Head:
        """What is known of the stream's end; a stream that is to begin now is taken for new without a look."""
        known = self._heads.get(stream)
        if known is not None:
            return known
        if version > 1:
            await self._last(stream)
        return self._heads.get(stream, NO_STREAM)

    async def _refuse_recorded(self, stream: StreamId, head: Head, version: int) -> None:
        """Raises IntegrityError unless the version is a gap in the stream (snapshots may fill one)."""
        recorded_already = version == head.highest
        if not recorded_already:
            recorded_already = any(originator_version(event) == version for event in await self._load(stream))
        if recorded_already:
            raise IntegrityError(f"{stream} version {version} is recorded already")

    async def _load(self, stream: StreamId, after: int = 0) -> list[Recorded]:
        """The stream's events above an ordinal, verified. Raises HistoryBroken."""
        events = await self._reader.load(stream, after_version=after)
        if self._clustered:
            events += await self._reader.newer(stream, after + len(events))
        verify_chain(stream, events, after)
        if events:
            self._remember(stream, head_after(events[-1]))
        return events

    async def _above(self, stream: StreamId, version: int) -> list[Recorded]:
        """At least the events above an originator version; without those before it where versions count from 0 or 1."""
        after = max(version - 1, 0)
        events = await self._load(stream, after)
        complete = after == 0 or (events and head_after(events[0]).highest <= version)
        return events if complete else await self._load(stream)

    async def _newest(self, stream: StreamId, count: int) -> list[Recorded]:
        """At least the events with the `count` highest originator versions."""
        last = await self._last(stream)
        if last is None:
            return []
        tail = [last] if count == 1 else await self._load(stream, max(last.version - count, 0))
        in_order = all(head_after(event).highest == originator_version(event) for event in tail)
        return tail if in_order else await self._load(stream)

    async def _last(self, stream: StreamId) -> Recorded | None:
        """The stream's last event as the leader knows it."""
        event = await self._last_on(stream_filter(self._location, stream))
        if event is not None:
            self._remember(stream, head_after(event))
        return event

    async def _last_on(self, subjects: str) -> Recorded | None:
        found = await self._reader.holder(subjects)
        return recorded(*found) if found else None

    def _remember(self, stream: StreamId, head: Head) -> None:
        known = self._heads.get(stream, NO_STREAM)
        self._heads[stream] = max(known, head)
        self._heads.move_to_end(stream)
        if len(self._heads) > _HEADS:
            self._heads.popitem(last=False)


def _check_versions(placed: Sequence[tuple[StreamId, StoredEvent]]) -> None:
    below = [f"{stream} version {event.originator_version}" for stream, event in placed if event.originator_version < 0]
    if below:
        raise DataError(f"versions below 0: {', '.join(below)}")
    if len({(stream, event.originator_version) for stream, event in placed}) < len(placed):
        raise IntegrityError("one write holds two events of the same originator id and version")
