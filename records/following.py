"""Every schema that is published, at hand: read from the log at the start, and followed from then on."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping, Sequence
from typing import Final

from nats.errors import Error as NatsError

from domain import record_schema
from domain.quality import Check, compiled
from domain.schema import Schema
from eventstore.envelope import Recorded
from eventstore.errors import EventStoreError
from eventstore.store import EventStore

log = logging.getLogger(__name__)

_CATEGORY: Final = record_schema.record_schema.category
_PAUSE: Final = 0.5
"""Seconds."""


class Schemas:
    """One a process; `run` is to be running. `ready` is set once all that is on the record is known."""

    def __init__(self, store: EventStore) -> None:
        self._store = store
        self._position = 0
        self._latest: dict[str, tuple[int, Schema]] = {}
        self._checks: dict[tuple[str, int], Check] = {}
        self.ready = asyncio.Event()

    @property
    def latest(self) -> Mapping[str, tuple[int, Schema]]:
        """By name, the version that new records are held to."""
        return self._latest

    def check(self, name: str, version: int) -> Check | None:
        """None for one that was never published."""
        return self._checks.get((name, version))

    async def run(self) -> None:
        """Until cancelled, whatever becomes of the log."""
        told = ""
        while True:
            try:
                while page := await self._store.read(self._position, category=_CATEGORY):
                    self._take(page)
                self.ready.set()
                async with self._store.follow(self._position, categories=[_CATEGORY]) as feed:
                    async for batch in feed.batches():
                        self._take(batch)
            except (EventStoreError, NatsError, OSError) as error:
                if told != str(error):
                    log.error("schemas are not followed: %s", error)
                    told = str(error)
            await asyncio.sleep(_PAUSE)

    def _take(self, events: Sequence[Recorded]) -> None:
        for event in events:
            match self._store.decode(event):
                case record_schema.Published(version, schema):
                    self._latest[event.stream.id] = version, schema
                    self._checks[event.stream.id, version] = compiled(schema, version)
                case record_schema.Withdrawn(latest=latest):
                    self._latest[event.stream.id] = latest, self._checks[event.stream.id, latest].schema
                case _:
                    pass
            self._position = event.position
