"""Labels and values in tables: below a header, or beside a label."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from typing import Final

from records.analyse.labels import Meant

_BESIDE: Final = 1.0
_BELOW: Final = 0.95
_ONE_OF_MANY: Final = 0.6
"""In a cell of a column with several rows: it may be no field of the record, but of one of its items."""

_MOST_ROWS: Final = 200

Table = Sequence[Sequence[str]]
Meanings = Callable[[str], Sequence[Meant]]


def cells_in(tables: Sequence[Table], meant_by: Meanings) -> Iterator[tuple[Meant, str, float]]:
    """What a label means, the cell for it, and how sure that is."""
    for table in tables:
        rows = [[cell.strip() for cell in row] for row in table[:_MOST_ROWS]]
        rows = [row for row in rows if any(row)]
        if rows and _is_header(rows[0], meant_by):
            yield from _below(rows, meant_by)
        else:
            for row in rows:
                yield from _beside(row, meant_by)


def _is_header(row: Sequence[str], meant_by: Meanings) -> bool:
    """Two cells that are labels, side by side."""
    return any(meant_by(one) and meant_by(other) for one, other in pairwise(row))


def _below(rows: Sequence[Sequence[str]], meant_by: Meanings) -> Iterator[tuple[Meant, str, float]]:
    sure = _BELOW if len(rows) == 2 else _ONE_OF_MANY
    for column, header in enumerate(rows[0]):
        for meant in meant_by(header):
            for row in rows[1:]:
                if column < len(row) and row[column]:
                    yield meant, row[column], sure


def _beside(row: Sequence[str], meant_by: Meanings) -> Iterator[tuple[Meant, str, float]]:
    filled = [cell for cell in row if cell]
    for label, cell in pairwise(filled):
        if not meant_by(cell):
            for meant in meant_by(label):
                yield meant, cell, _BESIDE
