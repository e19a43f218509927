"""One projection in one schema: what a batch of events does to its rows."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from typing import Any, Final

from eventstore.envelope import Recorded
from projections.projection import Journal, Projection, Table
from projections.rows import add_rows, put_rows, read_rows, remove_rows
from projections.tables import Connection

Decoded = tuple[Recorded, Any]

_ROWS_AT_HAND: Final = 20_000


class Folding:
    """Keeps the rows that were changed last at hand, so that most batches read nothing."""

    def __init__(self, projection: Projection, schema: str) -> None:
        self.projection = projection
        self.schema = schema
        self._at_hand: list[OrderedDict[str, Any]] = [OrderedDict() for _ in projection.tables]

    def forget(self) -> None:
        """After a transaction that did not happen."""
        for rows in self._at_hand:
            rows.clear()

    async def apply(self, connection: Connection, events: Sequence[Decoded]) -> None:
        """Fold events into the tables, within the caller's transaction. Raises what a fold raises."""
        if not events:
            return
        for table, rows in zip(self.projection.tables, self._at_hand, strict=True):
            match table:
                case Journal():
                    await self._add(connection, table, events)
                case Table():
                    await self._fold(connection, table, rows, events)

    async def _add(self, connection: Connection, table: Journal[Any], events: Sequence[Decoded]) -> None:
        told = table.told
        added = [row for event, data in events for row in told(event, data)]
        if added:
            await add_rows(connection, self.schema, table, added)

    async def _fold(
        self, connection: Connection, table: Table[Any], rows: OrderedDict[str, Any], events: Sequence[Decoded]
    ) -> None:
        keyed = [(key, event, part) for event, data in events for key, part in table.changes(event, data)]
        keys = dict.fromkeys(key for key, _, _ in keyed)
        missing = [key for key in keys if key not in rows]
        if missing:
            found = await read_rows(connection, self.schema, table, missing)
            rows.update((key, found.get(key)) for key in missing)
        fold = table.fold
        for key, event, part in keyed:
            rows[key] = fold(rows[key], event, part)
        changed = [rows[key] for key in keys if rows[key] is not None]
        gone = [key for key in keys if rows[key] is None]
        if changed:
            await put_rows(connection, self.schema, table, changed)
        if gone:
            await remove_rows(connection, self.schema, table, gone)
        for key in keys:
            rows.move_to_end(key)
        while len(rows) > _ROWS_AT_HAND:
            rows.popitem(last=False)
