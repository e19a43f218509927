"""Tables in PostgreSQL, made from their projection. Every projection has a schema of its own name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import asyncpg

from projections.projection import AnyTable, Projection

if TYPE_CHECKING:
    Connection = asyncpg.Connection[asyncpg.Record] | asyncpg.pool.PoolConnectionProxy[asyncpg.Record]
else:
    Connection = asyncpg.Connection

META: Final = "projections"
"""The PostgreSQL schema of the checkpoints."""

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
);
ALTER TABLE {META}.checkpoint
    ADD COLUMN IF NOT EXISTS built_at bigint NOT NULL DEFAULT 0,
    ADD COLUMN IF NOT EXISTS rebuild_began timestamptz,
    ADD COLUMN IF NOT EXISTS rebuild_failure text,
    ADD COLUMN IF NOT EXISTS rebuild_failed_at bigint"""


async def create_meta(connection: Connection) -> None:
    await connection.execute(_META_TABLES)


async def create_tables(connection: Connection, projection: Projection, schema: str) -> None:
    """Empty tables in a schema of that name, whatever stood there before; without indexes (see `create_indexes`)."""
    await connection.execute(f'DROP SCHEMA IF EXISTS "{schema}" CASCADE; CREATE SCHEMA "{schema}"')
    for table in projection.tables:
        columns = ", ".join(
            f'"{column.name}" {column.type}{" PRIMARY KEY" if column.name == "id" else ""}' for column in table.columns
        )
        await connection.execute(f'CREATE TABLE "{schema}"."{table.name}" ({columns})')


async def create_indexes(connection: Connection, projection: Projection, schema: str) -> None:
    """Made over filled tables they cost a fraction of what keeping them while the tables are filled would."""
    for table in projection.tables:
        on = f'"{schema}"."{table.name}"'
        for name in table.filters:
            await connection.execute(f'CREATE INDEX ON {on} ("{name}", position, id)')
        for names in table.indexes:
            columns = ", ".join(f'"{name}"' for name in names)
            await connection.execute(f"CREATE INDEX ON {on} ({columns})")
        for name in table.partial:
            await connection.execute(f'CREATE INDEX ON {on} ("{name}") WHERE "{name}" IS NOT NULL')
        for _, name in table.listed:
            await connection.execute(f'CREATE INDEX ON {on} USING gin ("{name}")')
        if table.full_text:
            await connection.execute(f"CREATE INDEX ON {on} USING gin ({searched(table)})")
        await connection.execute(f"CREATE INDEX ON {on} (position, id)")


def searched(table: AnyTable) -> str:
    """The words of a row, as an SQL expression."""
    text = " || ' ' || ".join(f"coalesce(\"{name}\"::text, '')" for name in table.full_text)
    return f"to_tsvector('simple', {text})"


async def have_the_shape(connection: Connection, projection: Projection, schema: str) -> bool:
    """Whether the tables there can hold the rows of today."""
    for table in projection.tables:
        if await columns_of(connection, schema, table) != [tuple(column) for column in table.columns]:
            return False
    return True


async def columns_of(connection: Connection, schema: str, table: AnyTable) -> list[tuple[str, str]]:
    """(name, type) of each column that stands in the database; empty when there is no such table."""
    found = await connection.fetch(
        """SELECT attname, CASE atttypid WHEN 'timestamptz'::regtype THEN 'timestamptz'
            ELSE format_type(atttypid, NULL) END AS type
        FROM pg_attribute WHERE attrelid = to_regclass($1) AND attnum > 0 AND NOT attisdropped ORDER BY attnum""",
        f'"{schema}"."{table.name}"',
    )
    return [(record["attname"], record["type"]) for record in found]
