"""Parquet files of any writer as Arrow columns of numbers and categories."""

from __future__ import annotations

from typing import Any, Final

from models.data.arrow import arrow, compute, parquet, types
from models.data.cells import CATEGORY, NUMBER, Place, checked_categories, checked_numbers
from models.data.faults import Faults
from models.data.shape import check_names, check_shape

MAX_BYTES: Final = 256 * 1024 * 1024
"""Of all values once they are written out: a small file can stand for a great deal of text."""

_UNREADABLE: Final = (arrow.ArrowException, OSError, MemoryError, ValueError)


def read_parquet(content: bytes, faults: Faults) -> Any:
    """An Arrow table; faults are collected. Raises TableInvalid where nothing can be read behind a fault."""
    source = arrow.BufferReader(content)
    try:
        opened = parquet.ParquetFile(source)
        schema, rows = opened.schema_arrow, opened.metadata.num_rows
    except _UNREADABLE as error:
        raise faults.stop(f"this is no Parquet file: {error}") from error
    check_names(schema.names, faults)
    for field in schema:
        if types.is_nested(field.type):
            faults.add(f"column {field.name!r}: holds {field.type}, not one value a row")
    check_shape(rows, len(schema.names), faults)
    faults.check()
    table = _read(source, [field.name for field in schema if _is_text(field.type)], faults)
    columns = [_column(name, table[name], faults) for name in schema.names]
    faults.check()
    return arrow.table(columns, names=schema.names)


def _read(source: Any, texts: list[str], faults: Faults) -> Any:
    """Text stays as a dictionary and its keys until it is known how much it is."""
    try:
        file = parquet.ParquetFile(source, read_dictionary=texts)
        _check_size(file.metadata, faults)
        table = file.read(use_threads=False)
        table.validate(full=True)
    except _UNREADABLE as error:
        raise faults.stop(f"the file is damaged: {error}") from error
    size = sum(_size(chunk) for column in table.columns for chunk in column.chunks)
    if size > MAX_BYTES:
        raise faults.stop(f"{size} bytes of values: at most {MAX_BYTES}")
    return table


def _check_size(metadata: Any, faults: Faults) -> None:
    """As the file says itself, before it is unpacked."""
    groups = [metadata.row_group(number) for number in range(metadata.num_row_groups)]
    size = sum(group.column(place).total_uncompressed_size for group in groups for place in range(group.num_columns))
    if size > MAX_BYTES:
        raise faults.stop(f"{size} bytes of values: at most {MAX_BYTES}")


def _size(chunk: Any) -> int:
    if not types.is_dictionary(chunk.type) or not _is_text(chunk.type.value_type):
        return chunk.nbytes
    return compute.sum(compute.take(compute.binary_length(chunk.dictionary), chunk.indices)).as_py() or 0


def _column(name: str, column: Any, faults: Faults) -> Any:
    place = _place(name)
    if types.is_dictionary(column.type):
        column = compute.cast(column, column.type.value_type)
    if _is_number(column.type):
        return checked_numbers(compute.cast(column, NUMBER, safe=False), place, faults)
    try:
        return checked_categories(compute.cast(column, CATEGORY), place, faults)
    except arrow.ArrowException as error:
        faults.add(f"column {name!r}: holds {column.type}, neither numbers nor text ({error})")
        return arrow.nulls(len(column), CATEGORY)


def _is_number(type: Any) -> bool:
    tests = (types.is_integer, types.is_floating, types.is_decimal, types.is_boolean, types.is_null)
    return any(test(type) for test in tests)


def _is_text(type: Any) -> bool:
    return types.is_string(type) or types.is_binary(type)


def _place(name: str) -> Place:
    return lambda index: f"row {index + 1}, column {name!r}"
