"""What a rebuild changes, table by table."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from projections.projection import AnyTable
from projections.tables import Connection, columns_of

_SHOWN: Final = 100


class Difference(msgspec.Struct, frozen=True):
    """One table before and after the switch; `differing` names up to 100 rows that are not the same in both."""

    table: str
    rows_before: int
    rows_after: int
    same: bool
    differing: list[str] = []


async def compare(connection: Connection, table: AnyTable, before: str, after: str) -> Difference:
    new = f'"{after}"."{table.name}"'
    rows_after, sum_after = await _digest(connection, new)
    if not await columns_of(connection, before, table):
        return Difference(table.name, 0, rows_after, rows_after == 0)
    old = f'"{before}"."{table.name}"'
    rows_before, sum_before = await _digest(connection, old)
    if (rows_before, sum_before) == (rows_after, sum_after):
        return Difference(table.name, rows_before, rows_after, True)
    found = await connection.fetch(
        f"""SELECT coalesce(o.id, n.id) AS id FROM {old} o FULL JOIN {new} n ON o.id = n.id
        WHERE o::text IS DISTINCT FROM n::text ORDER BY 1 LIMIT {_SHOWN}"""
    )
    return Difference(table.name, rows_before, rows_after, False, [record["id"] for record in found])


async def _digest(connection: Connection, table: str) -> tuple[int, Any]:
    """Rows, and a sum over their contents that does not depend on their order."""
    found = await connection.fetchrow(f"SELECT count(*), sum(hashtextextended(t::text, 0)::numeric) FROM {table} t")
    assert found is not None
    return found[0], found[1]
