"""What is known of a table's columns, from an Arrow table."""

from __future__ import annotations

import math
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from domain.dataset import Column
from models.data.arrow import arrow, compute
from models.data.cells import NUMBER

_MOST: Final = 20
_ALL: Final = 4_000
"""Counts of categories in one table, so that the record of it fits a message of the log."""

_LONGEST: Final = 60
"""Characters that are told of a category."""


def described(table: Any) -> tuple[Column, ...]:
    """Deciles are values of the column: the inverse of its distribution function, Hyndman and Fan's type 1 (1996). The
    standard deviation is that of the rows themselves, divided by n. It and the mean are left out where a double cannot
    hold them."""
    categories = sum(column.type != NUMBER for column in table.columns)
    most = max(1, min(_MOST, _ALL // max(1, categories)))
    return tuple(_described(name, table[name], most) for name in table.column_names)


def _described(name: str, column: Any, most: int) -> Column:
    missing, present = column.null_count, column.drop_null()
    if column.type != NUMBER:
        counted = arrow.Table.from_struct_array(compute.value_counts(present))
        return Column(name, "category", missing, counted.num_rows, counts=_most_common(counted, most))
    values: npt.NDArray[np.float64] = np.sort(present.to_numpy()) + 0.0  # there is but one zero
    if not len(values):
        return Column(name, "number", missing, 0)
    distinct = 1 + int(np.count_nonzero(values[1:] != values[:-1]))
    with np.errstate(over="ignore", invalid="ignore"):
        mean, deviation = _finite(float(np.mean(values))), _finite(float(np.std(values)))
    deciles = [float(values[max(0, -(-len(values) * tenth // 10) - 1)]) for tenth in range(11)]
    return Column(name, "number", missing, distinct, mean, deviation, tuple(deciles))


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _most_common(counted: Any, most: int) -> dict[str, int]:
    """The most common first; of equally common ones the first in the order of their code points."""
    keys = [("counts", "descending"), ("values", "ascending")]
    counts: dict[str, int] = {}
    for row in counted.take(compute.select_k_unstable(counted, k=most, sort_keys=keys)).to_pylist():
        value = _told(row["values"])
        counts[value] = counts.get(value, 0) + row["counts"]
    return counts


def _told(value: str) -> str:
    return value if len(value) <= _LONGEST else value[: _LONGEST - 1] + "…"
