"""The size a table may have, and the names of its columns."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from models.data.cells import is_unicode
from models.data.faults import Faults

MAX_COLUMNS: Final = 1_000
MAX_CELLS: Final = 5_000_000
_LONGEST_NAME: Final = 200


def check_names(names: Sequence[str], faults: Faults) -> None:
    """Columns count from 1. Raises TableInvalid for too many or none, collects all else."""
    if not names:
        raise faults.stop("there are no columns")
    if len(names) > MAX_COLUMNS:
        raise faults.stop(too_many_columns(len(names)))
    first: dict[str, int] = {}
    for number, name in enumerate(names, 1):
        if not name.strip():
            faults.add(f"column {number}: has no name")
        elif len(name) > _LONGEST_NAME:
            faults.add(f"column {number}: its name has more than {_LONGEST_NAME} characters")
        elif "\0" in name or not is_unicode(name):
            faults.add(f"column {number}: its name is no text")
        elif first.setdefault(name, number) != number:
            faults.add(f"column {number}: is called {name!r}, as column {first[name]} is")


def check_shape(rows: int, columns: int, faults: Faults) -> None:
    """Raises TableInvalid for too many cells; no rows at all are collected."""
    if rows * columns > MAX_CELLS:
        raise faults.stop(too_many_cells(rows, columns))
    if rows == 0:
        faults.add("there are no rows")


def too_many_columns(count: int) -> str:
    return f"{count} columns: at most {MAX_COLUMNS}"


def too_many_cells(rows: int, columns: int) -> str:
    return f"{rows} rows of {columns} columns: at most {MAX_CELLS} cells"
