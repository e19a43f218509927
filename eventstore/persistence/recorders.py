"""The library's recorders over our log: synchronous, for any number of threads."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from eventsourcing.persistence import (
    AggregateRecorder,
    ApplicationRecorder,
    Notification,
    NotSupportedError,
    ProcessRecorder,
    StoredEvent,
    Subscription,
    Tracking,
    TrackingRecorder,
)

from eventstore.persistence.log import RecorderLog
from eventstore.persistence.loop import LoopThread
from eventstore.persistence.subscription import FeedSubscription


class _OverLog:
    def __init__(self, loop: LoopThread, log: RecorderLog) -> None:
        self._loop = loop
        self._log = log


class JetStreamAggregateRecorder(_OverLog, AggregateRecorder):
    """Stored events by originator, without notifications: the library keeps snapshots in it."""

    def insert_events(self, stored_events: Sequence[StoredEvent], **kwargs: Any) -> Sequence[int] | None:
        """All of them or none, at most 1,000.

        Raises IntegrityError when one is recorded already, DataError when they can never be recorded, and
        OperationalError when the log does not answer: then they may or may not be recorded.
        """
        self._insert(stored_events, **kwargs)

    def select_events(
        self,
        originator_id: UUID | str,
        *,
        gt: int | None = None,
        lte: int | None = None,
        desc: bool = False,
        limit: int | None = None,
    ) -> Sequence[StoredEvent]:
        return self._loop.run(self._log.select(originator_id, gt, lte, desc, limit))

    def _insert(self, stored_events: Sequence[StoredEvent], **kwargs: Any) -> Sequence[int]:
        if kwargs.get("tracking") is not None:
            raise NotSupportedError(f"{type(self).__name__} records no tracking; a process recorder does")
        return self._loop.run(self._log.insert(stored_events))


class JetStreamApplicationRecorder(JetStreamAggregateRecorder, ApplicationRecorder):
    """A notification's id is its position in the log: 1, 2, 3 … in the order of recording."""

    def insert_events(self, stored_events: Sequence[StoredEvent], **kwargs: Any) -> Sequence[int] | None:
        return self._insert(stored_events, **kwargs)

    def select_notifications(
        self,
        start: int | None,
        limit: int,
        stop: int | None = None,
        topics: Sequence[str] = (),
        *,
        inclusive_of_start: bool = True,
    ) -> Sequence[Notification]:
        after = 0 if start is None else max(start - inclusive_of_start, 0)
        return self._loop.run(self._log.notifications(after, limit, stop, topics))

    def max_notification_id(self) -> int | None:
        return self._loop.run(self._log.last_notification_id())

    def subscribe(self, gt: int | None = None, topics: Sequence[str] = ()) -> Subscription[ApplicationRecorder]:
        return FeedSubscription(self, self._loop, self._log, gt, topics)


class JetStreamTrackingRecorder(_OverLog, TrackingRecorder):
    """Positions in the logs of other applications, each recorded once and only upwards."""

    def insert_tracking(self, tracking: Tracking) -> None:
        """Raises IntegrityError when this or a later position is recorded already."""
        self._loop.run(self._log.insert([], tracking))

    def max_tracking_id(self, application_name: str) -> int | None:
        return self._loop.run(self._log.last_tracking_id(application_name))


class JetStreamProcessRecorder(JetStreamTrackingRecorder, JetStreamApplicationRecorder, ProcessRecorder):
    """New events and the position that caused them, in one atomic batch of one log: both or neither.

    Tracking records take positions of the log too, so notification ids ascend but are not contiguous.
    """

    def _insert(self, stored_events: Sequence[StoredEvent], **kwargs: Any) -> Sequence[int]:
        return self._loop.run(self._log.insert(stored_events, kwargs.get("tracking")))
