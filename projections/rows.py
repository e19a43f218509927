"""Rows in and out of PostgreSQL, many at a time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec

from projections.projection import AnyTable
from projections.tables import Connection

_json = msgspec.json.Encoder()
_NUL: Final = "\ufffd"
"""What stands in a table for NUL, which PostgreSQL stores in no text: one odd event must not stop a read model."""


async def read_rows(connection: Connection, schema: str, table: AnyTable, ids: Sequence[str]) -> dict[str, Any]:
    """The rows of these ids, as structs."""
    found = await connection.fetch(f'SELECT * FROM "{schema}"."{table.name}" WHERE id = ANY($1::text[])', ids)
    return {record["id"]: row_of(table, dict(record)) for record in found}


def row_of(table: AnyTable, record: Mapping[str, Any]) -> Any:
    values = {
        name: msgspec.json.decode(value) if name in table.json_columns and value is not None else value
        for name, value in record.items()
    }
    return msgspec.convert(values, table.row, builtin_types=())


async def add_rows(connection: Connection, schema: str, table: AnyTable, rows: Sequence[Any]) -> None:
    """Rows that were not there."""
    await connection.copy_records_to_table(
        table.name, schema_name=schema, columns=[column.name for column in table.columns], records=_records(table, rows)
    )


async def put_rows(connection: Connection, schema: str, table: AnyTable, rows: Sequence[Any]) -> None:
    """Rows that are new or replace older ones."""
    names = ", ".join(f'"{column.name}"' for column in table.columns)
    changes = ", ".join(f'"{c.name}" = EXCLUDED."{c.name}"' for c in table.columns if c.name != "id")
    on = f'"{schema}"."{table.name}"'
    await connection.execute(
        f"INSERT INTO {on} ({names}) SELECT {names} FROM json_populate_recordset(NULL::{on}, $1::json) "
        f"ON CONFLICT (id) DO UPDATE SET {changes}",
        _document(rows),
    )


async def remove_rows(connection: Connection, schema: str, table: AnyTable, ids: Sequence[str]) -> None:
    await connection.execute(f'DELETE FROM "{schema}"."{table.name}" WHERE id = ANY($1::text[])', ids)


def _records(table: AnyTable, rows: Sequence[Any]) -> list[list[Any]]:
    records: list[list[Any]] = []
    json = [number for number, column in enumerate(table.columns) if column.type == "jsonb"]
    for row in rows:
        values = list(msgspec.structs.astuple(row))
        for number in json:
            values[number] = None if values[number] is None else _document(values[number])
        records.append([_without_nul(each) if each.__class__ is str and "\0" in each else each for each in values])
    return records


def _document(value: Any) -> str:
    document = _json.encode(value)
    if b"\\u0000" in document:
        document = _json.encode(_without_nul(msgspec.to_builtins(value)))
    return document.decode()


def _without_nul(value: Any) -> Any:
    match value:
        case str():
            return value.replace("\0", _NUL)
        case list():
            return [_without_nul(each) for each in value]  # pyright: ignore[reportUnknownVariableType]
        case dict():
            return {_without_nul(key): _without_nul(each) for key, each in value.items()}  # pyright: ignore[reportUnknownVariableType]
        case _:
            return value
