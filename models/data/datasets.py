"""From a file, or from columns, to what a dataset is registered with."""

from __future__ import annotations

from typing import Any, NamedTuple

from domain import dataset
from models.data.formats import Format
from models.data.reading import read
from models.data.statistics import described
from models.data.tables import Columns, Kinds, arrow_of, written


class Prepared(NamedTuple):
    """`content` is the Parquet file."""

    content: bytes
    samples: int
    columns: tuple[dataset.Column, ...]
    quality_score: float


def from_file(content: bytes, format: Format) -> Prepared:
    """Raises TableInvalid with every fault that can be known."""
    return _prepared(read(content, format))


def from_columns(columns: Columns, kinds: Kinds) -> Prepared:
    return _prepared(arrow_of(columns, kinds))


def _prepared(table: Any) -> Prepared:
    columns = described(table)
    cells = table.num_rows * table.num_columns
    missing = sum(column.missing for column in columns)
    return Prepared(written(table), table.num_rows, columns, (cells - missing) / cells if cells else 1.0)
