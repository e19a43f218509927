"""Tables in PostgreSQL: made from their projection, filled many rows at a time."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import asyncpg
import msgspec

from projections.projection import Projection, Table

if TYPE_CHECKING:
    Connection = asyncpg.Connection[asyncpg.Record] | asyncpg.pool.PoolConnectionProxy[asyncpg.Record]

META = "projections"
"""The PostgreSQL schema of the checkpoints. Every projection has a schema of its own name."""

_META_TABLES = f"""
CREATE SCHEMA IF NOT EXISTS {META};
CREATE TABLE IF NOT EXISTS {META}.checkpoint (
    name text PRIMARY KEY,
    position bigint NOT NULL,
    event_hash text NOT NULL,
    log_created text NOT NULL,
    fingerprint text NOT NULL,
    state text NOT NULL,
    reason text,
    updated_at timestamptz NOT NULL DEFAULT now(),
    rebuild_position bigint,
    rebuild_head bigint,
    rebuild_report jsonb
)"""


async def create_meta(connection: Connection) -> None:
    await connection.execute(_META_TABLES)


async def create_tables(connection: Connection, projection: Projection, schema: str) -> None:
    """Empty tables in a schema of that name, whatever stood there before."""
    await connection.execute(f'DROP SCHEMA IF EXISTS "{schema}" CASCADE; CREATE SCHEMA "{schema}"')
    for table in projection.tables:
        columns = ", ".join(
            f'"{column.name}" {column.type}{" PRIMARY KEY" if column.name == "id" else ""}' for column in table.columns
        )
        await connection.execute(f'CREATE TABLE "{schema}"."{table.name}" ({columns})')
        for name in (*table.filters, "position"):
            await connection.execute(f'CREATE INDEX ON "{schema}"."{table.name}" ("{name}", position, id)')


async def read_rows(connection: Connection, schema: str, table: Table[Any], ids: Sequence[str]) -> dict[str, Any]:
    """The rows of these ids, as structs."""
    found = await connection.fetch(f'SELECT * FROM "{schema}"."{table.name}" WHERE id = ANY($1::text[])', ids)
    return {record["id"]: row_of(table, dict(record)) for record in found}


def row_of(table: Table[Any], record: Mapping[str, Any]) -> Any:
    json = {column.name for column in table.columns if column.type == "jsonb"}
    values = {
        name: msgspec.json.decode(value) if name in json and value is not None else value
        for name, value in record.items()
    }
    return msgspec.convert(values, table.row, builtin_types=())


async def write_rows(
    connection: Connection, schema: str, table: Table[Any], rows: Iterable[Any], gone: Sequence[str]
) -> None:
    """Insert or replace rows, and remove those that are gone; one statement each."""
    if gone:
        await connection.execute(f'DELETE FROM "{schema}"."{table.name}" WHERE id = ANY($1::text[])', gone)
    values = list(rows)
    if values:
        await connection.execute(_upsert(schema, table), *_arrays(table, values))


def _upsert(schema: str, table: Table[Any]) -> str:
    names = ", ".join(f'"{column.name}"' for column in table.columns)
    arrays = ", ".join(f"${number}::{column.type}[]" for number, column in enumerate(table.columns, 1))
    changes = ", ".join(f'"{c.name}" = EXCLUDED."{c.name}"' for c in table.columns if c.name != "id")
    return (
        f'INSERT INTO "{schema}"."{table.name}" ({names}) SELECT * FROM unnest({arrays}) '
        f"ON CONFLICT (id) DO UPDATE SET {changes}"
    )


def _arrays(table: Table[Any], rows: Sequence[Any]) -> list[list[Any]]:
    arrays: list[list[Any]] = []
    for column in table.columns:
        values = [getattr(row, column.name) for row in rows]
        if column.type == "jsonb":
            values = [None if value is None else msgspec.json.encode(value).decode() for value in values]
        arrays.append(values)
    return arrays
