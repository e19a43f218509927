"""One JSON object a line as Arrow columns; a name that a line lacks is a missing value there."""

from __future__ import annotations

import io
import json
from typing import Any

from models.data.arrow import arrow
from models.data.cells import Place, from_values
from models.data.faults import Faults
from models.data.shape import MAX_CELLS, MAX_COLUMNS, check_names, check_shape, too_many_cells, too_many_columns

_Columns = dict[str, list[Any]]


class _Object(list[tuple[str, Any]]):
    """The pairs of a JSON object: a dictionary would lose those that are there twice."""


_decode = json.JSONDecoder(object_pairs_hook=_Object, parse_int=float).decode


def read_ndjson(content: bytes, faults: Faults) -> Any:
    """An Arrow table; faults are collected. `content` is UTF-8. Raises TableInvalid where nothing can be read behind
    a fault."""
    columns: _Columns = {}
    lines: list[int] = []
    """The number of each row's line."""
    for number, line in enumerate(io.BytesIO(content), 1):
        if not line.strip():
            continue
        _add_row(columns, len(lines), number, _object(line, number, faults), faults)
        lines.append(number)
        if len(lines) * len(columns) > MAX_CELLS:
            raise faults.stop(too_many_cells(len(lines), len(columns)) + f" (by line {number})")
    for values in columns.values():
        values.extend([None] * (len(lines) - len(values)))
    check_shape(len(lines), len(columns), faults)
    if lines:
        check_names(list(columns), faults)
    arrays = [from_values(values, _place(name, lines), faults) for name, values in columns.items()]
    faults.check()
    return arrow.table(arrays, names=list(columns))


def _object(line: bytes, number: int, faults: Faults) -> _Object:
    try:
        found = _decode(line.decode().rstrip())
    except json.JSONDecodeError as error:
        faults.add(f"line {number}: is no JSON: {error.msg} (character {error.pos + 1})")
    except RecursionError:
        faults.add(f"line {number}: is nested too deeply")
    else:
        if isinstance(found, _Object):
            return found
        faults.add(f"line {number}: is no JSON object")
    return _Object()


def _add_row(columns: _Columns, row: int, line: int, pairs: _Object, faults: Faults) -> None:
    for name, value in pairs:
        values = columns.setdefault(name, [])
        if len(values) > row:
            faults.add(f"line {line}: has {name[:200]!r} twice")
            continue
        values += [None] * (row - len(values))
        nested = isinstance(value, list)
        if nested:
            faults.add(f"line {line}, column {name[:200]!r}: holds {_kind(value)}, not one value")
        values.append(None if nested else value)
    if len(columns) > MAX_COLUMNS:
        raise faults.stop(too_many_columns(len(columns)) + f" (by line {line})")


def _kind(value: Any) -> str:
    return "an object" if isinstance(value, _Object) else "an array"


def _place(name: str, lines: list[int]) -> Place:
    return lambda index: f"line {lines[index]}, column {name!r}"
