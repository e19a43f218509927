"""Fills the read models: one feed for all of them, one transaction a batch, rows and checkpoints together.

An event counts exactly once whatever crashes, because what was counted and how far is one commit. A projection that
cannot take an event is halted, with its reason, and the others go on; nothing is skipped.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Final, TypeVar

from domain.projection import RebuildRequested
from eventstore.catalogue import tag_of
from eventstore.errors import HistoryBroken
from eventstore.store import EventStore
from eventstore.tasks import end_tasks, first_to_end
from projections.checkpoint import end_rebuild
from projections.live import LiveTables
from projections.outages import is_outage
from projections.projection import Projection
from projections.rebuild import Rebuild, connected
from projections.tables import Connection

log = logging.getLogger(__name__)

_Result = TypeVar("_Result")

REBUILD_REQUESTED: Final = tag_of(RebuildRequested)
_LOCK: Final = 7_203_114
_BATCH: Final = 4_000
_FLOWING: Final = 16
_GATHER: Final = 0.02
"""Seconds to let events gather while many come: a commit costs about the same for ten as for a hundred."""

_GLANCE: Final = 1.0
"""Seconds between two looks at whether connection and log are still what they were."""


class ProjectionRunner:
    """One works at a time: further ones, in other processes, stand by until it is gone."""

    def __init__(self, store: EventStore, database_url: str, projections: Sequence[Projection]) -> None:
        self._store = store
        self._url = database_url
        self._projections = projections
        self._live: LiveTables | None = None
        self._has_led = False
        self._broken: str | None = None
        self._requests: dict[str, int] = {}
        self._rebuilds: dict[str, asyncio.Task[None]] = {}
        self.ready = asyncio.Event()
        """Set once the tables are there."""

    async def run(self) -> None:
        """Until cancelled. An outage of the log or of PostgreSQL only delays; a broken log halts every projection,
        with the reason on its checkpoint, until it is rebuilt from a whole one."""
        pauses = _Pauses()
        while True:
            try:
                await self._lead(pauses)
            except HistoryBroken as error:
                log.error("the projections halt: %s", error)
                self._broken = str(error)
            except Exception as error:
                if not is_outage(error):
                    raise
                log.warning("the projections wait: %s", str(error) or type(error).__name__)
            await pauses.take()

    async def _lead(self, pauses: _Pauses) -> None:
        async with connected(self._url) as connection:
            while not await connection.fetchval("SELECT pg_try_advisory_lock($1)", _LOCK):
                await asyncio.sleep(0.5)
            live = self._live = LiveTables(self._store, connection, self._projections)
            due = await live.prepare(retry_halted=not self._has_led)
            self._has_led = True
            if self._broken is not None:
                await live.halt_all(self._broken)
                self._broken = None
            log_created = (await self._store.state()).created
            for name in due:
                self.request_rebuild(name)
            self.ready.set()
            pauses.start_over()
            try:
                await first_to_end(self._follow(live), self._watch(connection, log_created))
            finally:
                await end_tasks(*self._rebuilds.values())
                self._rebuilds.clear()
                self._requests.clear()

    async def _follow(self, live: LiveTables) -> None:
        async with self._store.follow(live.position) as feed:
            async for batch in feed.batches(_BATCH):
                await live.apply(batch)
                for event in batch:
                    if event.type == REBUILD_REQUESTED:
                        self._on_request(live, event.stream.id, event.position)
                if _FLOWING <= len(batch) < _BATCH:
                    await asyncio.sleep(_GATHER)

    async def _watch(self, connection: Connection, log_created: str) -> None:
        """On a quiet log nothing else would notice that PostgreSQL lost the last commits in a crash, and the lease
        with them, or that another log stands where ours was."""
        while not connection.is_closed():
            await asyncio.sleep(_GLANCE)
            if (await self._store.state()).created != log_created:
                raise ConnectionError("the log was made anew")
        raise ConnectionError("PostgreSQL closed the connection")

    def _on_request(self, live: LiveTables, name: str, position: int) -> None:
        known = live.checkpoints.get(name)
        if known is not None and position > known.built_at:
            self.request_rebuild(name, position)

    def request_rebuild(self, name: str, position: int = 0) -> None:
        """Build the projection anew beside its live tables, and switch when it has caught up.

        `position` is that of the event that asks for it: a rebuild under way that ends beyond it is enough.
        """
        if self._live is None or name not in self._live.projections:
            return
        self._requests[name] = max(self._requests.get(name, 0), position)
        if name not in self._rebuilds:
            self._rebuilds[name] = asyncio.create_task(self._rebuild(name, self._live))

    async def _rebuild(self, name: str, live: LiveTables) -> None:
        try:
            while name in self._requests:
                failure = await self._past_outages(f"the rebuild of {name}", lambda: self._build(name, live))
                if failure is not None:
                    give_up = partial(self._give_up, name, failure, self._requests.pop(name))
                    await self._past_outages(f"the verdict on the rebuild of {name}", give_up)
        except Exception:
            log.exception("what became of the rebuild of %s could not be noted down", name)
            self._requests.pop(name, None)
        finally:
            del self._rebuilds[name]  # whatever happens, whoever asks for it later is heard

    async def _build(self, name: str, live: LiveTables) -> str | None:
        """Why the rebuild failed; None when it did not. Raises outages."""
        try:
            await Rebuild(self._store, self._url, live.projections[name], live).run()
        except Exception as error:
            if is_outage(error):
                raise
            log.exception("the rebuild of %s failed; its live tables are untouched", name)
            return str(error) or type(error).__name__
        if self._requests[name] <= live.checkpoints[name].built_at:
            del self._requests[name]
        return None

    async def _past_outages(self, what: str, work: Callable[[], Awaitable[_Result]]) -> _Result:
        """Again from its beginning after each outage."""
        pauses = _Pauses()
        while True:
            try:
                return await work()
            except Exception as error:
                if not is_outage(error):
                    raise
                log.warning("%s starts over: %s", what, str(error) or type(error).__name__)
                await pauses.take()

    async def _give_up(self, name: str, reason: str, requested_at: int) -> None:
        async with connected(self._url) as connection:
            await end_rebuild(connection, name, failure=reason, failed_at=requested_at)


class _Pauses:
    """Longer and longer, up to two seconds."""

    def __init__(self) -> None:
        self._taken = 0

    def start_over(self) -> None:
        self._taken = 0

    async def take(self) -> None:
        self._taken += 1
        await asyncio.sleep(min(0.1 * 2 ** min(self._taken - 1, 5), 2.0))
