"""Fills the read models: one feed for all of them, one transaction a batch, rows and checkpoints together.

An event counts exactly once whatever crashes, because what was counted and how far is one commit. A projection that
cannot take an event is halted, with its reason, and the others go on; nothing is skipped.
"""

from __future__ import annotations

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Sequence
from typing import Any, Final

import asyncpg
from nats.errors import Error as NatsError

from domain.projection import RebuildRequested
from eventstore.catalogue import tag_of
from eventstore.envelope import Recorded
from eventstore.errors import EventStoreError, LogUnavailable
from eventstore.store import EventStore
from eventstore.tasks import end_tasks
from projections import tables
from projections.checkpoint import Checkpoint, load_checkpoints, save_checkpoints
from projections.projection import Projection, Table
from projections.rebuild import Rebuild

log = logging.getLogger(__name__)

CHANNEL: Final = "projections"
"""PostgreSQL notifications of new positions: hints for those who wait, never the only way."""

REBUILD_REQUESTED: Final = tag_of(RebuildRequested)
_LOCK: Final = 7_203_114
_ROWS_AT_HAND: Final = 20_000
_BATCH: Final = 4_000
_FLOWING: Final = 16
_GATHER: Final = 0.02
"""Seconds to let events gather while many come: a commit costs about the same for ten as for a hundred."""


class Folding:
    """One projection in one schema: rows at hand, and what a batch does to them."""

    def __init__(self, projection: Projection, schema: str) -> None:
        self.projection = projection
        self.schema = schema
        self._at_hand: list[OrderedDict[str, Any]] = [OrderedDict() for _ in projection.tables]

    def forget(self) -> None:
        """After a transaction that did not happen."""
        for rows in self._at_hand:
            rows.clear()

    async def apply(self, connection: tables.Connection, events: Sequence[tuple[Recorded, Any]]) -> None:
        """Fold events into the tables, within the caller's transaction. Raises what a fold raises."""
        for table, rows in zip(self.projection.tables, self._at_hand, strict=True):
            keyed = [(key, event, data) for event, data in events if (key := table.key(event, data)) is not None]
            if keyed:
                await self._fold(connection, table, rows, keyed)

    async def _fold(
        self,
        connection: tables.Connection,
        table: Table[Any],
        rows: OrderedDict[str, Any],
        keyed: list[tuple[str, Recorded, Any]],
    ) -> None:
        keys = {key for key, _, _ in keyed}
        missing = [key for key in keys if key not in rows]
        if missing:
            found = await tables.read_rows(connection, self.schema, table, missing)
            for key in missing:
                rows[key] = found.get(key)
        for key, event, data in keyed:
            rows[key] = table.fold(rows[key], event, data)
        changed = [rows[key] for key in keys if rows[key] is not None]
        gone = [key for key in keys if rows[key] is None]
        await tables.write_rows(connection, self.schema, table, changed, gone)
        for key in keys:
            rows.move_to_end(key)
        while len(rows) > _ROWS_AT_HAND:
            rows.popitem(last=False)


class ProjectionRunner:
    """One works at a time: further ones, in other processes, stand by until it is gone."""

    def __init__(self, store: EventStore, database_url: str, projections: Sequence[Projection]) -> None:
        self._store = store
        self._url = database_url
        self._projections = {projection.name: projection for projection in projections}
        self._foldings: dict[str, Folding] = {}
        self._checkpoints: dict[str, Checkpoint] = {}
        self._position = 0
        self._applying = asyncio.Lock()
        self._rebuilds: dict[str, asyncio.Task[None]] = {}
        self.ready = asyncio.Event()
        """Set once the tables are there."""

    async def run(self) -> None:
        """Until cancelled; an outage of the log or of PostgreSQL only delays."""
        pause = 0.1
        while True:
            try:
                await self._lead()
            except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError, NatsError, LogUnavailable) as error:
                log.warning("the projections wait: %s", error or type(error).__name__)
                await asyncio.sleep(pause)
                pause = min(pause * 2, 2.0)

    async def _lead(self) -> None:
        # What a crash of PostgreSQL loses of these commits is replayed: the checkpoint is lost with the rows.
        connection = await asyncpg.connect(self._url, server_settings={"synchronous_commit": "off"}, timeout=10)
        try:
            while not await connection.fetchval("SELECT pg_try_advisory_lock($1)", _LOCK):
                await asyncio.sleep(0.5)
            await self._prepare(connection)
            await self._follow(connection)
        finally:
            await end_tasks(*self._rebuilds.values())
            self._rebuilds.clear()
            connection.terminate()

    async def _prepare(self, connection: tables.Connection) -> None:
        await tables.create_meta(connection)
        state = await self._store.state()
        self._checkpoints = await load_checkpoints(connection)
        self._foldings = {name: Folding(each, name) for name, each in self._projections.items()}
        due: list[str] = []
        for name, projection in self._projections.items():
            known = self._checkpoints.get(name)
            if known is None:
                async with connection.transaction():
                    await tables.create_tables(connection, projection, name)
                    self._checkpoints[name] = Checkpoint.first(name, state.created, projection.fingerprint)
                    await save_checkpoints(connection, [self._checkpoints[name]])
                continue
            changed = await self._changed_log(known, state.last)
            if changed is not None:
                await self._halt(connection, name, changed)
            elif known.fingerprint != projection.fingerprint or known.rebuild_position is not None:
                due.append(name)
        self._position = min((c.position for c in self._active()), default=state.last)
        for name in due:
            self.request_rebuild(name)
        self.ready.set()

    async def _changed_log(self, known: Checkpoint, last: int) -> str | None:
        """Why the log is not the one this projection has read; None when it is."""
        if known.position == 0:
            return None
        if known.position > last:
            return f"the log ends at {last}, before the position {known.position} this projection has read"
        event = await self._store.reader.at(known.position)
        if event is None or event.hash != known.event_hash:
            return f"the log has changed: position {known.position} holds another event than it did"
        return None

    def _active(self) -> list[Checkpoint]:
        return [self._checkpoints[name] for name in self._projections if self._checkpoints[name].state == "live"]

    async def _follow(self, connection: tables.Connection) -> None:
        async with self._store.follow(self._position) as feed:
            async for batch in feed.batches(_BATCH):
                async with self._applying:
                    await self._apply(connection, batch)
                if _FLOWING <= len(batch) < _BATCH:
                    await asyncio.sleep(_GATHER)

    async def _apply(self, connection: tables.Connection, batch: list[Recorded]) -> None:
        names = [checkpoint.name for checkpoint in self._active()]
        try:
            await self._commit(connection, names, batch)
        except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError):
            raise
        except Exception:
            for name in names:
                await self._commit_alone(connection, name, batch)
        self._position = batch[-1].position
        for event in batch:
            if event.type == REBUILD_REQUESTED:
                self.request_rebuild(event.stream.id)

    async def _commit_alone(self, connection: tables.Connection, name: str, batch: list[Recorded]) -> None:
        """Event by event, so that the culprit is known and everything before it counts."""
        for event in batch:
            try:
                await self._commit(connection, [name], [event])
            except (asyncpg.PostgresConnectionError, asyncpg.InterfaceError, OSError):
                raise
            except Exception as error:
                log.exception("projection %s cannot take position %d", name, event.position)
                where = f"position {event.position} ({event.type} {event.envelope.id})"
                return await self._halt(connection, name, f"{where}: {error or type(error).__name__}")

    async def _commit(self, connection: tables.Connection, names: Sequence[str], batch: list[Recorded]) -> None:
        decoded = self._decoded(names, batch)
        after: list[Checkpoint] = []
        try:
            async with connection.transaction():
                for name in names:
                    checkpoint, folding = self._checkpoints[name], self._foldings[name]
                    events = [
                        (event, data)
                        for event, data in decoded
                        if event.position > checkpoint.position
                        and event.stream.category in folding.projection.categories
                    ]
                    await folding.apply(connection, events)
                    if batch[-1].position > checkpoint.position:
                        after.append(checkpoint.moved(batch[-1]))
                await save_checkpoints(connection, after)
                await connection.execute("SELECT pg_notify($1, $2)", CHANNEL, str(batch[-1].position))
        except BaseException:
            for name in names:
                self._foldings[name].forget()
            raise
        for checkpoint in after:
            self._checkpoints[checkpoint.name] = checkpoint

    def _decoded(self, names: Sequence[str], batch: list[Recorded]) -> list[tuple[Recorded, Any]]:
        wanted = {category for name in names for category in self._projections[name].categories}
        return [(event, self._store.decode(event)) for event in batch if event.stream.category in wanted]

    async def _halt(self, connection: tables.Connection, name: str, reason: str) -> None:
        halted = self._checkpoints[name].halted(reason)
        await save_checkpoints(connection, [halted])
        self._checkpoints[name] = halted

    def request_rebuild(self, name: str) -> None:
        """Build the projection anew beside its live tables, and switch when it has caught up."""
        if name in self._projections and name not in self._rebuilds:
            task = asyncio.create_task(self._rebuild(name))
            self._rebuilds[name] = task
            task.add_done_callback(lambda _: self._rebuilds.pop(name, None))

    async def _rebuild(self, name: str) -> None:
        connection = await asyncpg.connect(self._url, server_settings={"synchronous_commit": "off"}, timeout=10)
        try:
            folding = Folding(self._projections[name], f"{name}__next")
            rebuild = Rebuild(self._store, connection, folding, self._checkpoints[name])
            await rebuild.fill()
            async with self._applying:
                self._checkpoints[name] = await rebuild.switch(self._position)
                self._foldings[name] = Folding(self._projections[name], name)
        except (EventStoreError, asyncpg.PostgresError, asyncpg.InterfaceError, OSError):
            log.exception("the rebuild of %s failed; its live tables are untouched", name)
        finally:
            connection.terminate()
