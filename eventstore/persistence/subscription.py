"""A subscription of the library, pushed from our feed."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from concurrent.futures import CancelledError, Future
from threading import Lock
from typing import Final

from eventsourcing.persistence import ApplicationRecorder, InterfaceError, Notification, Subscription

from eventstore.persistence.log import RecorderLog
from eventstore.persistence.loop import LoopThread, translated
from eventstore.persistence.stored import notifications

_BATCH: Final = 500
_BATCHES: Final = 4
"""Batches held for a slow reader; beyond these the feed's own flow control holds the server back."""

_Queue = asyncio.Queue[list[Notification] | Exception]


class FeedSubscription(Subscription[ApplicationRecorder]):
    """First what is recorded, then what comes; ends when it is stopped or its application is closed."""

    def __init__(
        self,
        recorder: ApplicationRecorder,
        loop: LoopThread,
        log: RecorderLog,
        gt: int | None = None,
        topics: Sequence[str] = (),
    ) -> None:
        super().__init__(recorder, gt, topics)
        self._loop = loop
        self._lock = Lock()
        self._arrived: Iterator[Notification] = iter(())
        self._queue: _Queue = asyncio.Queue(_BATCHES)
        self._under_way: list[Future[None] | Future[list[Notification] | Exception]] = []
        self._under_way.append(loop.submit(_follow(log, max(gt or 0, 0), topics, self._queue)))

    def __next__(self) -> Notification:
        while not self._has_been_stopped:
            notification = next(self._arrived, None)
            if notification is not None:
                self._last_notification_id = notification.id
                return notification
            self._arrived = iter(self._next_batch())
        raise StopIteration

    def stop(self) -> None:
        with self._lock:
            super().stop()
            for future in self._under_way:
                future.cancel()

    def __del__(self) -> None:
        self.stop()

    def _next_batch(self) -> list[Notification]:
        """Blocks for notifications; none when the subscription has been stopped meanwhile."""
        try:
            with self._lock:
                if self._has_been_stopped:
                    return []
                waiting = self._loop.submit(self._queue.get())
                self._under_way[1:] = [waiting]
            batch = waiting.result()
        except (CancelledError, InterfaceError):
            self.stop()
            return []
        if isinstance(batch, Exception):
            self.stop()
            raise batch
        return batch


async def _follow(log: RecorderLog, after: int, topics: Sequence[str], queue: _Queue) -> None:
    try:
        async with log.feed(after) as feed:
            async for batch in feed.batches(_BATCH):
                if wanted := notifications(batch, topics):
                    await queue.put(wanted)
    except Exception as error:
        await queue.put(translated(error))
