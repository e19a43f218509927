"""Building a projection anew: in a schema beside the live one, then a switch in one transaction.

The live tables and their checkpoint are not touched before the switch. A rebuild that was interrupted starts over;
what the tables held before is kept as `<name>__previous` until the next one.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Final

import asyncpg
import msgspec

from eventstore.envelope import NO_HASH, Recorded
from eventstore.store import EventStore
from projections.checkpoint import Checkpoint, begin_rebuild, end_rebuild, save_checkpoints, save_rebuild_progress
from projections.comparison import compare
from projections.folding import Folding
from projections.live import LiveTables
from projections.projection import Projection
from projections.tables import Connection, create_indexes, create_tables

_BATCH: Final = 4_000
_NEAR: Final = 1_000
"""Events that are left for the pause in which nothing moves."""

_LOCK: Final = 7_203_115


class Rebuild:
    """One of one projection, on a connection of its own; only the switch is made by whoever holds the lease."""

    def __init__(self, store: EventStore, database_url: str, projection: Projection, live: LiveTables) -> None:
        self._store = store
        self._url = database_url
        self._projection = projection
        self._name = projection.name
        self._next = f"{projection.name}__next"
        self._live = live
        self._folding = Folding(projection, self._next)
        self._last: Recorded | None = None

    async def run(self) -> None:
        """Raises what a fold raises, or an outage; the live tables are untouched then."""
        async with connected(self._url) as connection:
            # Another process that has just lost the lease may still be filling the same tables.
            await connection.execute("SELECT pg_advisory_lock($1, hashtext($2))", _LOCK, self._name)
            created = await self._fill(connection)
            report = await self._compare(connection)
            async with self._live.still:
                await self._advance(connection, self._goal)
                await self._switch(created, report)

    @property
    def _position(self) -> int:
        return self._last.position if self._last else 0

    @property
    def _goal(self) -> int:
        """Where the live tables are: readers must never see a position again that they were past."""
        mine = self._live.checkpoints[self._name]
        return max(self._live.position, mine.position if mine.is_active else 0)

    async def _fill(self, connection: Connection) -> str:
        state = await self._store.state()
        await create_tables(connection, self._projection, self._next)
        await begin_rebuild(connection, self._name, state.last)
        await self._advance(connection, state.last)
        await create_indexes(connection, self._projection, self._next)
        while self._goal - self._position > _NEAR:
            await self._advance(connection, self._goal)
        return state.created

    async def _advance(self, connection: Connection, end: int) -> None:
        if self._position >= end:
            return
        async with self._store.follow(self._position) as feed:
            async for batch in feed.batches(_BATCH):
                await self._take(connection, [event for event in batch if event.position <= end], end)
                if self._position >= end:
                    return

    async def _take(self, connection: Connection, batch: list[Recorded], end: int) -> None:
        categories = self._projection.categories
        wanted = [event for event in batch if event.envelope.stream.partition("/")[0] in categories]
        async with connection.transaction():
            await self._folding.apply(connection, [(event, self._store.decode(event)) for event in wanted])
            await save_rebuild_progress(connection, self._name, batch[-1].position, end)
        self._last = batch[-1]

    async def _compare(self, connection: Connection) -> str:
        """What the switch is going to change, seen in one snapshot in which both sides stand at one position: taken
        while nothing moves, looked at while everything goes on."""
        async with connected(self._url) as onlooker:
            async with self._live.still:
                await self._advance(connection, self._goal)
                await onlooker.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SELECT 1")
            found = [await compare(onlooker, table, self._name, self._next) for table in self._projection.tables]
            return msgspec.json.encode(found).decode()

    async def _switch(self, log_created: str, report: str) -> None:
        connection, name = self._live.connection, self._name
        built = Checkpoint(
            name,
            self._position,
            self._last.hash if self._last else NO_HASH,
            log_created,
            self._projection.fingerprint,
            "live",
            built_at=self._position,
        )
        async with connection.transaction():
            await connection.execute(
                f'DROP SCHEMA IF EXISTS "{name}__previous" CASCADE;'
                f'CREATE SCHEMA IF NOT EXISTS "{name}";'
                f'ALTER SCHEMA "{name}" RENAME TO "{name}__previous";'
                f'ALTER SCHEMA "{self._next}" RENAME TO "{name}"'
            )
            await save_checkpoints(connection, [built])
            await end_rebuild(connection, name, report=report)
        self._live.replaced(built)


@asynccontextmanager
async def connected(url: str) -> AsyncGenerator[Connection]:
    """A connection that does not wait for the disk: what a crash of PostgreSQL loses of the last commits is replayed,
    because the checkpoint is lost with the rows."""
    connection = await asyncpg.connect(url, server_settings={"synchronous_commit": "off"}, timeout=10)
    try:
        yield connection
    finally:
        connection.terminate()
