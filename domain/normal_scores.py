"""Numbers of any distribution as standard normal ones, by their rank in a reference."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

from domain.evidence import Floats
from domain.pipeline import Value

_DECIMALS: Final = 6


def numbers(values: Sequence[Value]) -> Floats:
    """What is no finite number is missing, nan."""
    known = np.array([value if isinstance(value, int | float) else np.nan for value in values], np.float64)
    return np.where(np.isfinite(known), known, np.nan)


class NormalScores:
    """Van der Waerden scores: the normal quantile of (r + 1/2) / (n + 1), where r is the number of lesser values in
    the sample and half of the equal ones. They are bounded, and outliers weigh no more than their rank."""

    def __init__(self, sample: Sequence[float]) -> None:
        """Of a sorted sample."""
        self.sample = np.asarray(sample, np.float64)
        twice_ranks = np.arange(2 * len(sample) + 1)
        scores: Floats = np.asarray(ndtri((twice_ranks + 1) / (2 * len(sample) + 2)), np.float64)
        self._scores = np.round(scores, _DECIMALS)

    def of(self, values: Floats) -> Floats:
        """nan stays nan."""
        lesser: NDArray[np.int64] = np.searchsorted(self.sample, values, "left")
        not_greater: NDArray[np.int64] = np.searchsorted(self.sample, values, "right")
        return np.where(np.isnan(values), np.nan, self._scores[lesser + not_greater])
