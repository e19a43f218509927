"""Tables as the rest of Sagacity works with them: columns by name, of numbers or categories, None where one is missing.

They are read from files of others (CSV, Parquet, NDJSON) and kept as Parquet.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, Final

from domain import dataset
from domain.pipeline import ColumnType, Value
from models.data.arrow import arrow, parquet
from models.data.cells import CATEGORY, NUMBER, as_text, is_missing
from models.data.faults import TableInvalid
from models.data.formats import Format
from models.data.reading import read
from models.data.statistics import described

__all__ = [
    "Columns",
    "Kinds",
    "TableInvalid",
    "as_labels",
    "describe",
    "from_parquet",
    "quality_of",
    "read_rows",
    "read_table",
    "to_parquet",
]

ROW_GROUP: Final = 65_536
"""Rows that are read together."""

Columns = dict[str, list[Value]]
"""In the order of the columns; all lists are equally long."""

Kinds = dict[str, ColumnType]


def read_table(content: bytes, format: Format) -> tuple[Columns, Kinds]:
    """UTF-8, with or without a byte order mark. Raises TableInvalid with every fault that can be known."""
    return _columns_of(read(content, format))


def to_parquet(columns: Mapping[str, Sequence[Value]], kinds: Mapping[str, ColumnType]) -> bytes:
    """The same columns give the same bytes; NaN is a missing value."""
    return written(arrow_of(columns, kinds))


def written(table: Any) -> bytes:
    """An Arrow table of numbers and categories as Parquet: the same rows give the same bytes."""
    sink = arrow.BufferOutputStream()
    parquet.write_table(
        table.replace_schema_metadata(None).combine_chunks(),
        sink,
        version="2.6",
        compression="zstd",
        compression_level=3,
        row_group_size=ROW_GROUP,
        store_schema=False,
    )
    return sink.getvalue().to_pybytes()


def from_parquet(content: bytes) -> tuple[Columns, Kinds]:
    """What `to_parquet` wrote, of any size. Raises TableInvalid for anything else."""
    try:
        table = parquet.ParquetFile(arrow.BufferReader(content)).read(use_threads=False)
    except (arrow.ArrowException, OSError) as error:
        raise TableInvalid((f"this is no Parquet file: {error}",)) from error
    others = [field.name for field in table.schema if field.type not in (NUMBER, CATEGORY)]
    if others:
        raise TableInvalid(tuple(f"column {name!r}: holds neither float64 nor text" for name in others))
    return _columns_of(table)


def read_rows(content: bytes, offset: int, limit: int) -> list[dict[str, Value]]:
    """At most `limit` rows behind the first `offset` of what `to_parquet` wrote; few of the others are looked at."""
    file = parquet.ParquetFile(arrow.BufferReader(content))
    size = file.metadata.row_group(0).num_rows
    first, last = offset // size, (offset + limit - 1) // size
    groups = range(min(first, file.num_row_groups), min(last + 1, file.num_row_groups))
    return file.read_row_groups(list(groups), use_threads=False).slice(offset - first * size, limit).to_pylist()


def describe(columns: Mapping[str, Sequence[Value]], kinds: Mapping[str, ColumnType]) -> tuple[dataset.Column, ...]:
    return described(arrow_of(columns, kinds))


def quality_of(columns: Mapping[str, Sequence[Value]]) -> float:
    """The share of cells that are there, from 0 to 1; 1 where there are none."""
    cells = sum(len(values) for values in columns.values())
    missing = sum(is_missing(value) for values in columns.values() for value in values)
    return (cells - missing) / cells if cells else 1.0


def as_labels(values: Sequence[Value]) -> list[str]:
    """The names of classes: 1.0, 1 and true are "1". Raises ValueError where one is missing."""
    missing = [number for number, value in enumerate(values, 1) if is_missing(value)]
    if missing:
        raise ValueError(f"{len(missing)} rows have no label, row {missing[0]} for one")
    return [as_text(value) for value in values if value is not None]


def arrow_of(columns: Mapping[str, Sequence[Value]], kinds: Mapping[str, ColumnType]) -> Any:
    arrays = [
        arrow.array(values, NUMBER if kinds[name] == "number" else CATEGORY, from_pandas=True)
        for name, values in columns.items()
    ]
    return arrow.table(arrays, names=list(columns))


def _columns_of(table: Any) -> tuple[Columns, Kinds]:
    columns: Columns = {}
    kinds: Kinds = {}
    for name, column in zip(table.column_names, table.columns, strict=True):
        number = column.type == NUMBER
        kinds[name] = "number" if number else "category"
        columns[name] = _numbers(column) if number else _texts(column)
    return columns, kinds


def _numbers(column: Any) -> list[Value]:
    values: list[float] = column.to_numpy().tolist()
    return [None if math.isnan(value) else value for value in values] if column.null_count else list(values)


def _texts(column: Any) -> list[Value]:
    """One string for all cells that hold the same."""
    coded = column.combine_chunks().dictionary_encode()
    known: list[str] = coded.dictionary.to_pylist()
    return [None if index is None else known[index] for index in coded.indices.to_pylist()]
