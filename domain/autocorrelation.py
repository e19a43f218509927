"""By how much rows that resemble their neighbours count for less than independent ones."""

from __future__ import annotations

from collections.abc import Callable
from math import sqrt
from typing import Final

import numpy as np
from numpy.typing import NDArray

from domain.evidence import Floats

MOST_LAGS: Final = 1_000
MOST_RHO: Final = 0.99
_PART: Final = 4
_MOST_CATEGORIES: Final = 20
_LEAST_ROWS: Final = 10


def lag_one(scores: Floats) -> float:
    """The correlation of neighbours, within ±.99; nan is missing. 0 where nothing varies."""
    return min(max(_of_numbers(scores)(1), -MOST_RHO), MOST_RHO) if len(scores) > 1 else 0.0


def dispersion_of_numbers(scores: Floats) -> float:
    """1 + twice the sum of the correlations at lags 1, 2, ...: the mean of so many rows varies as if there were only
    rows / dispersion of them. Up to the first lag whose correlation is within two standard errors of none."""
    correlation, rows = _of_numbers(scores), len(scores)
    total = 0.0
    for lag in range(1, min(rows // _PART, MOST_LAGS) + 1):
        rho = correlation(lag)
        if rho < 2 / sqrt(rows):
            break
        total += rho
    return 1 + 2 * total


def dispersion_of_categories(codes: NDArray[np.int64]) -> float:
    """The greatest one of being in a category or not, among the most common categories: a chi-squared statistic that
    is divided by the mean of them (Rao and Scott 1981) is too large too often where they differ."""
    values, counts = np.unique(codes, return_counts=True)
    order = np.argsort(-counts, kind="stable")[:_MOST_CATEGORIES]
    varied = order[(counts[order] >= _LEAST_ROWS) & (counts[order] < len(codes))]
    return max((dispersion_of_numbers(np.where(codes == values[each], 1.0, 0.0)) for each in varied), default=1.0)


def _of_numbers(scores: Floats) -> Callable[[int], float]:
    """Pairs of which one is missing do not count."""
    known = ~np.isnan(scores)
    rows = int(np.count_nonzero(known))
    mean = float(np.where(known, scores, 0.0).sum()) / max(rows, 1)
    centred = np.where(known, scores - mean, 0.0)
    variance = float(centred @ centred) / max(rows, 1)

    def correlation(lag: int) -> float:
        pairs = int(np.count_nonzero(known[lag:] & known[:-lag]))
        if variance <= 0 or not pairs:
            return 0.0
        return float(centred[lag:] @ centred[:-lag]) / pairs / variance

    return correlation
