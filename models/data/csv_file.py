"""Comma-separated values (RFC 4180) as Arrow columns; the first line names them."""

from __future__ import annotations

import csv
import io
from bisect import bisect_right
from typing import Any, Final

from models.data.arrow import arrow
from models.data.arrow import csv as arrow_csv
from models.data.cells import CATEGORY, Place, from_text
from models.data.faults import Faults, TableInvalid
from models.data.shape import MAX_COLUMNS, check_names, check_shape, too_many_columns

_BLANK: Final = b" \t\r\n"
_ALL_TEXT: Final = {f"f{number}": CATEGORY for number in range(MAX_COLUMNS)}
"""The names that Arrow makes up."""


def read_csv(content: bytes, faults: Faults) -> Any:
    """An Arrow table; faults are collected. `content` is UTF-8 without a byte order mark. Raises TableInvalid where
    nothing can be read behind a fault."""
    if not content.strip(_BLANK):
        raise faults.stop("the file is empty")
    if b"\0" in content:
        raise faults.stop(f"byte {content.index(0)} is NUL: that is no text")
    _check_width(content, faults)
    ragged: list[int] = []
    rows = _parsed(content, ragged, faults)
    names: list[str] = [column[0].as_py() for column in rows.columns]
    check_names(names, faults)
    if content.count(b'"') % 2:
        faults.add(f"row {rows.num_rows - 1 + len(ragged)}: a quotation mark is not closed, there or before")
    cells = rows.slice(1)
    check_shape(cells.num_rows + len(ragged), len(names), faults)
    columns = [
        from_text(column, _place(name, ragged), faults) for name, column in zip(names, cells.columns, strict=True)
    ]
    return arrow.table(columns, names=names)


def _check_width(content: bytes, faults: Faults) -> None:
    """Of the first line, before Arrow makes a column of each of its cells."""
    lines = csv.reader(io.TextIOWrapper(io.BytesIO(content), "utf-8", newline=""))
    try:
        width = len(next(line for line in lines if line))
    except csv.Error as error:
        raise faults.stop(f"the first line cannot be read: {error}") from error
    if width > MAX_COLUMNS:
        raise faults.stop(too_many_columns(width))


def _parsed(content: bytes, ragged: list[int], faults: Faults) -> Any:
    """All lines, the first one too, as text. Appends the numbers of rows that are left out as too short or long."""

    def note(line: Any) -> str:
        row = line.number - 1
        ragged.append(row)
        faults.add(f"row {row}: has {line.actual_columns} cells, not {line.expected_columns}")
        return "skip"

    if not content.endswith((b"\n", b"\r")):
        content += b"\n"
    try:
        return arrow_csv.read_csv(
            arrow.BufferReader(content),
            # One block, and one thread: else rows have no numbers.
            read_options=arrow_csv.ReadOptions(
                use_threads=False, block_size=len(content) + 1, autogenerate_column_names=True
            ),
            parse_options=arrow_csv.ParseOptions(newlines_in_values=True, invalid_row_handler=note),
            convert_options=arrow_csv.ConvertOptions(strings_can_be_null=False, column_types=_ALL_TEXT),
        )
    except arrow.ArrowInvalid as error:
        raise TableInvalid((f"this is no CSV: {error}",)) from error


def _place(name: str, ragged: list[int]) -> Place:
    """Rows count from 1 behind the first line; those that were left out count too."""

    def place(index: int) -> str:
        row = index + 1
        while (further := index + 1 + bisect_right(ragged, row)) != row:
            row = further
        return f"row {row}, column {name!r}"

    return place
