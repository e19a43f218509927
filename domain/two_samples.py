"""Tests of scipy on two samples, for rows that resemble their neighbours, and for many columns at once."""

# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
from __future__ import annotations

from collections.abc import Sequence
from math import sqrt
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import chdtrc, kolmogorov
from scipy.stats import chi2_contingency, false_discovery_control

from domain.evidence import Floats

LEAST_EXPECTED: Final = 5.0
"""Rows of a cell of a contingency table."""

Counts = NDArray[np.int64]


class Test(NamedTuple):
    statistic: float
    p_value: float


NO_TEST: Final = Test(0.0, 1.0)


def kolmogorov_smirnov(sample: Floats, values: Floats, rows: float) -> Test:
    """Of a sorted sample. `rows` is the effective number: 1 / (1/n + 1/m) of independent rows.

    `scipy.stats.ks_2samp` gives the same distance, and a p-value that would not be used but takes ten times as long.
    """
    ordered = np.sort(values)
    both = np.concatenate([sample, ordered])
    of_sample = np.searchsorted(sample, both, "right") / len(sample)
    of_values = np.searchsorted(ordered, both, "right") / len(ordered)
    distance = float(np.abs(of_sample - of_values).max())
    return Test(distance, float(kolmogorov(sqrt(rows) * distance)))


def chi_squared(table: Counts, dispersion: float) -> Test:
    """Of a table of two rows, with rare columns merged. Its statistic is divided by the dispersion; four
    cells are corrected for continuity (Yates)."""
    columns = merged(table)
    if columns.shape[1] < 2 or not columns.sum(axis=1).all():
        return NO_TEST
    compared: Any = chi2_contingency(columns)
    statistic = float(compared.statistic) / dispersion
    return Test(statistic, float(chdtrc(columns.shape[1] - 1, statistic)))


def merged(table: Counts) -> Counts:
    """The last column is the rest, if anything. Columns join it of which fewer than five rows are expected in either
    row of the table, and the next rarest one while it is too rare itself."""
    of_columns = table.sum(axis=0)
    least = LEAST_EXPECTED * table.sum() / max(int(table.sum(axis=1).min()), 1)
    order = np.argsort(of_columns[:-1], kind="stable")
    joining = int(np.searchsorted(of_columns[order], least))
    rest = table[:, -1] + table[:, order[:joining]].sum(axis=1)
    while 0 < rest.sum() < least and joining < len(order):
        rest = rest + table[:, order[joining]]
        joining += 1
    kept = table[:, np.sort(order[joining:])]
    return np.column_stack([kept, rest]) if rest.any() else kept


def adjusted(p_values: Sequence[float]) -> list[float]:
    """For their number, by Benjamini and Hochberg (1995): of those that are at most alpha, at most the part alpha is
    by chance, on average."""
    return [float(each) for each in false_discovery_control(p_values)] if p_values else []
