"""Every schema that is published, at hand: read from the log at the start, and followed from then on."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from domain import record_schema
from domain.quality import Check, compiled
from domain.schema import Schema
from eventstore.envelope import Recorded
from eventstore.keeping_up import keep_up
from eventstore.store import EventStore


class Schemas:
    """One a process; `run` is to be running. `ready` is set once all that is on the record is known."""

    def __init__(self, store: EventStore) -> None:
        self._store = store
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
        await keep_up(self._store, record_schema.record_schema.category, self._take, self._know_all)

    def _take(self, event: Recorded) -> None:
        match self._store.decode(event):
            case record_schema.Published(version, schema):
                self._latest[event.stream.id] = version, schema
                self._checks[event.stream.id, version] = compiled(schema, version)
            case record_schema.Withdrawn(latest=latest):
                self._latest[event.stream.id] = latest, self._checks[event.stream.id, latest].schema
            case _:
                pass

    async def _know_all(self) -> None:
        self.ready.set()
