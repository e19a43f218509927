"""Watches all models that have a version in use: drift, errors and comparisons, reported to their monitors.

Predictions and labels are read as they come; what is found out is recorded with the rows that it was computed from,
so that a restart goes on exactly there, and a replay comes to the same verdicts. See docs/drift.md.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from typing import Final

from nats.errors import Error as NatsError

from domain import model, monitor
from eventstore.aggregates import Aggregates
from eventstore.blobs import Blobs
from eventstore.catalogue import tag_of
from eventstore.envelope import Recorded
from eventstore.errors import EventStoreError, UnknownEvent
from eventstore.keeping_up import keep_up
from eventstore.store import EventStore
from eventstore.tasks import end_tasks, first_to_end
from models.observe.observing import PACE, Pace, Report, Sources
from models.observe.watching import ModelWatch
from models.serve.predictions import Predictions

log = logging.getLogger(__name__)

_PAUSE: Final = 0.5
_HEARD: Final = {tag_of(monitor.LabelsRecorded), tag_of(monitor.Judged)}


class Observer:
    """Any number of processes may run one each: for each model one of them records, the others stand by.

    `predictions` are closed in the end.
    """

    def __init__(
        self,
        store: EventStore,
        aggregates: Aggregates,
        blobs: Blobs,
        predictions: Predictions,
        report: Report,
        pace: Pace = PACE,
    ) -> None:
        self._store = store
        self._sources = Sources(store, aggregates, blobs, predictions, report, pace)
        self._watches: dict[str, ModelWatch] = {}
        self._running: dict[str, asyncio.Task[None]] = {}
        self.ready = asyncio.Event()
        """Set once all models are known."""

    async def run(self) -> None:
        """Until cancelled, whatever becomes of the log."""
        try:
            await first_to_end(
                self._hear_monitors(), keep_up(self._store, model.model.category, self._take, self._start)
            )
        finally:
            await end_tasks(*self._running.values())
            await self._sources.predictions.close()

    def _take(self, event: Recorded) -> None:
        watch = self._watches.setdefault(event.stream.id, ModelWatch(event.stream.id, self._sources))
        try:
            watch.follow(event, self._store.decode(event))
        except UnknownEvent as error:
            log.error("the watch of model %s does not know what this says: %s", event.stream.id, error)

    async def _start(self) -> None:
        for id in self._watches.keys() - self._running.keys():
            self._running[id] = asyncio.create_task(self._watches[id].run())
        self.ready.set()

    async def _hear_monitors(self) -> None:
        """From now on: what was written before is read by each watch as it begins."""
        position, told = None, ""
        while True:
            try:
                if position is None:
                    position = (await self._store.state()).last
                async with self._store.follow(position, categories=[monitor.monitor.category]) as feed:
                    async for batch in feed.batches():
                        self._hear(batch)
                        position = batch[-1].position
            except (EventStoreError, NatsError, OSError) as error:
                if told != str(error):
                    log.error("labels are not heard of: %s", error)
                    told = str(error)
            await asyncio.sleep(_PAUSE)

    def _hear(self, events: Sequence[Recorded]) -> None:
        for event in events:
            watch = self._watches.get(event.stream.id)
            if watch is None or event.type not in _HEARD:
                continue
            try:
                watch.hear(self._store.decode(event))
            except UnknownEvent as error:
                log.error("the watch of model %s does not know what this says: %s", event.stream.id, error)
