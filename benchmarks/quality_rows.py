"""Complete records from rows of data sets that ship with scikit-learn: real numbers, and what is to go with them."""

from __future__ import annotations

import importlib
from bisect import bisect
from collections.abc import Sequence
from datetime import date, timedelta
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.random import Generator

from domain.schema import Condition, Field, Rule, Schema, Value

SENT_ON: Final = date(2026, 11, 21)
NAMES: Final = ("iris", "wine", "diabetes", "breast_cancer", "digits")
FIELDS: Final = 12

Row = dict[str, Value]
"""Without what does not apply."""


class Rows(NamedTuple):
    schema: Schema
    rows: tuple[Row, ...]


def rows_of(name: str, rng: Generator) -> Rows:
    """Four columns and their class are as they come, the fifth one applies to some classes only. A sum and two dates
    obey rules; of the first class it may be confirmed, and when."""
    data: Any = getattr(importlib.import_module("sklearn.datasets"), f"load_{name}")()
    columns = np.asarray(data.data, dtype=float)
    spread = np.argsort(-(columns.std(axis=0) / (np.abs(columns).max(axis=0) + 1e-9)), kind="stable")
    columns = columns[:, np.resize(spread, 5)]
    classes = _classes(np.asarray(data.target))
    schema = _schema(name, columns, sorted(set(classes)))
    rows = tuple(
        _row(schema, f"{name}-{number}", values.tolist(), kind, rng)
        for number, (values, kind) in enumerate(zip(columns, classes, strict=True))
    )
    return Rows(schema, rows)


def _classes(target: Any) -> list[str]:
    """Of numbers the quarter in which they are."""
    numbers: list[float] = target.tolist()
    if len(set(numbers)) > 20:
        quarters = np.quantile(target, [0.25, 0.5, 0.75]).tolist()
        numbers = [bisect(quarters, number) for number in numbers]
    return [f"class {each:g}" for each in numbers]


def _schema(name: str, columns: Any, classes: Sequence[str]) -> Schema:
    numbers = [
        Field(f"v{at}", "number", weight=1 + at % 3, minimum=float(column.min()), maximum=float(column.max()))
        for at, column in enumerate(columns.T)
    ]
    numbers[4] = _when(numbers[4], "kind", tuple(classes[: (len(classes) + 1) // 2]))
    return Schema(
        name,
        (
            Field("row", "identifier", weight=3),
            Field("kind", "choice", choices=tuple(classes), weight=2),
            *numbers,
            Field("total", "amount", weight=2),
            Field("measured_on", "date", oldest=-400, newest=0),
            Field("reported_on", "date", oldest=-400, newest=0, follows=("measured_on",)),
            _when(Field("confirmed", "boolean", weight=2), "kind", (classes[0],)),
            _when(_when(Field("confirmed_on", "date"), "kind", (classes[0],)), "confirmed", (True,)),
        ),
        (Rule("sum", ("v0", "v1", "total")), Rule("order", ("measured_on", "reported_on"))),
    )


def _when(field: Field, path: str, values: tuple[str | bool, ...]) -> Field:
    conditions = (*field.applies_when, Condition(path, values))
    return Field(
        field.path,
        field.type,
        weight=field.weight,
        applies_when=conditions,
        minimum=field.minimum,
        maximum=field.maximum,
    )


def _row(schema: Schema, row: str, values: Sequence[float], kind: str, rng: Generator) -> Row:
    measured = SENT_ON - timedelta(days=int(rng.integers(30, 300)))
    reported = measured + timedelta(days=int(rng.integers(1, 30)))
    confirmed = bool(rng.random() < 0.5)
    all_of = {
        "row": row,
        "kind": kind,
        **{f"v{at}": value for at, value in enumerate(values)},
        "total": values[0] + values[1],
        "measured_on": measured.isoformat(),
        "reported_on": reported.isoformat(),
        "confirmed": confirmed,
        "confirmed_on": reported.isoformat(),
    }
    return {
        field.path: all_of[field.path]
        for field in schema.fields
        if all(all_of[each.path] in each.values for each in field.applies_when)
    }
