"""Building a projection anew: in a schema beside the live one, then a switch in one transaction.

The live tables and their checkpoint are not touched before the switch. A rebuild that was interrupted starts over;
what the tables held before is kept as `<name>__previous` until the next one.
"""

from __future__ import annotations

from typing import Any, Final, Protocol

import msgspec

from eventstore.envelope import Recorded
from eventstore.store import EventStore
from projections import tables
from projections.checkpoint import Checkpoint, save_checkpoints, save_rebuild_progress
from projections.projection import Projection

_PAGE: Final = 5_000


class _Folding(Protocol):
    projection: Projection
    schema: str

    async def apply(self, connection: tables.Connection, events: list[tuple[Recorded, Any]]) -> None: ...


class Difference(msgspec.Struct, frozen=True):
    """One table before and after the switch."""

    table: str
    rows_before: int
    rows_after: int
    same: bool


class Rebuild:
    def __init__(
        self, store: EventStore, connection: tables.Connection, folding: _Folding, checkpoint: Checkpoint
    ) -> None:
        self._store = store
        self._connection = connection
        self._folding = folding
        self._name = checkpoint.name
        self._last: Recorded | None = None
        self._log_created = ""

    @property
    def _position(self) -> int:
        return self._last.position if self._last else 0

    async def fill(self) -> None:
        """From the beginning to the end of the log as it is now."""
        state = await self._store.state()
        self._log_created = state.created
        await tables.create_tables(self._connection, self._folding.projection, self._folding.schema)
        await save_rebuild_progress(self._connection, self._name, 0, state.last)
        await self._read_up_to(state.last)

    async def switch(self, position: int) -> Checkpoint:
        """Catch up to where the live projections are and take the place of the live tables."""
        await self._read_up_to(position)
        projection = self._folding.projection
        report = [await self._compare(table.name) for table in projection.tables]
        last_hash = self._last.hash if self._last else ""
        checkpoint = Checkpoint(
            self._name, self._position, last_hash, self._log_created, projection.fingerprint, "live"
        )
        async with self._connection.transaction():
            await self._connection.execute(
                f'DROP SCHEMA IF EXISTS "{self._name}__previous" CASCADE;'
                f'ALTER SCHEMA "{self._name}" RENAME TO "{self._name}__previous";'
                f'ALTER SCHEMA "{self._folding.schema}" RENAME TO "{self._name}"'
            )
            await save_checkpoints(self._connection, [checkpoint])
            await save_rebuild_progress(self._connection, self._name, None, None)
            await self._connection.execute(
                f"UPDATE {tables.META}.checkpoint SET rebuild_report = $2 WHERE name = $1",
                self._name,
                msgspec.json.encode(report).decode(),
            )
        return checkpoint

    async def _read_up_to(self, end: int) -> None:
        while self._position < end:
            page = await self._store.read(self._position, min(_PAGE, end - self._position))
            if not page:
                return
            wanted = [event for event in page if event.stream.category in self._folding.projection.categories]
            async with self._connection.transaction():
                await self._folding.apply(self._connection, [(event, self._store.decode(event)) for event in wanted])
                await save_rebuild_progress(self._connection, self._name, page[-1].position, end)
            self._last = page[-1]

    async def _compare(self, table: str) -> Difference:
        async def digest(schema: str) -> tuple[int, str | None]:
            row = await self._connection.fetchrow(
                f'SELECT count(*), md5(string_agg(md5(t::text), \'\' ORDER BY id)) FROM "{schema}"."{table}" t'
            )
            assert row is not None
            return row[0], row[1]

        before_count, before = await digest(self._name)
        after_count, after = await digest(self._folding.schema)
        return Difference(table, before_count, after_count, before == after)
