"""Who says at which rows of a stream something has changed: Sagacity, detectors of river as they come, and usual rules.

A rule takes the rows that were known before and the rows of the stream, and gives the numbers of the rows, from 1, at
which it alarms. The rules on windows of 500 rows look when one is full.
"""

# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from river import drift
from river.drift import binary
from scipy.stats import ks_2samp

from domain.detectors import ErrorDetector, InputDetectors, reference_of, thresholds
from domain.model import Holdout
from domain.model_policy import Budget, Monitoring

Floats = NDArray[np.float64]
Rule = Callable[[Floats, Floats], list[int]]
WINDOW: Final = 500
PER_10_000: Final = 0.15
MONITORING: Final = Monitoring(Budget(PER_10_000, 10), 1_000, WINDOW)
"""A budget of 0.15 false alarms in 10,000 samples."""


def our_errors(before: Floats, stream: Floats) -> list[int]:
    holdout = Holdout(len(before), int(before.sum()))
    return [each.at for each in ErrorDetector(holdout, thresholds(MONITORING, 1, 0)).see(stream.astype(bool).tolist())]


def our_numbers(before: Floats, stream: Floats) -> list[int]:
    """Row by row and in windows together."""
    reference = reference_of({"x": before.tolist()}, {"x": "number"}, None, Holdout(0, 0))
    detectors = InputDetectors(reference, thresholds(MONITORING, 1, 0), MONITORING)
    return [each.at for each in detectors.see({"x": stream.tolist()}, [""] * len(stream))[1]]


def by_row(make: Callable[[], Any]) -> Rule:
    """A detector of river; it knows nothing of the rows before."""

    def rule(before: Floats, stream: Floats) -> list[int]:
        detector, alarms = make(), list[int]()
        for row, value in enumerate(stream.tolist(), 1):
            detector.update(value)
            if detector.drift_detected:
                alarms.append(row)
        return alarms

    return rule


def by_window(drifted: Callable[[Floats, Floats], bool], rows: int = WINDOW) -> Rule:
    def rule(before: Floats, stream: Floats) -> list[int]:
        ends = range(rows, len(stream) + 1, rows)
        return [end for end in ends if drifted(before, stream[end - rows : end])]

    return rule


def kolmogorov_smirnov(before: Floats, window: Floats) -> bool:
    compared: Any = ks_2samp(before, window)
    return bool(compared.pvalue < 0.05)


def stability_index(before: Floats, window: Floats) -> bool:
    """PSI of at least 0.1, in ten bins of equal width, an empty one holding a ten-thousandth of the rows."""
    edges = np.histogram_bin_edges(before, 10)
    edges[0], edges[-1] = -np.inf, np.inf
    expected, actual = (np.histogram(rows, edges)[0] / len(rows) for rows in (before, window))
    expected, actual = np.maximum(expected, 1e-4), np.maximum(actual, 1e-4)
    return bool(np.sum((actual - expected) * np.log(actual / expected)) >= 0.1)


def always(before: Floats, stream: Floats) -> list[int]:
    return list(range(1, len(stream) + 1))


def never(before: Floats, stream: Floats) -> list[int]:
    return []


def periodic(before: Floats, stream: Floats) -> list[int]:
    return list(range(1_000, len(stream) + 1, 1_000))


DUMMIES: Final[dict[str, Rule]] = {
    "dummy: always alarms": always,
    "dummy: never alarms": never,
    "dummy: each 1,000 rows": periodic,
}
OURS: Final = "Sagacity"
ERRORS: Final[dict[str, Rule]] = {
    OURS: our_errors,
    "ADWIN": by_row(drift.ADWIN),
    "Page-Hinkley": by_row(drift.PageHinkley),
    "DDM": by_row(binary.DDM),
    "EDDM": by_row(binary.EDDM),
    "HDDM_A": by_row(binary.HDDMA),
    **DUMMIES,
}
KSWIN: Final = "KSWIN, seed 1"
NUMBERS: Final[dict[str, Rule]] = {
    OURS: our_numbers,
    "ADWIN": by_row(drift.ADWIN),
    "Page-Hinkley": by_row(drift.PageHinkley),
    KSWIN: by_row(lambda: drift.KSWIN(seed=1)),
    "KS <= .05, windows of 500": by_window(kolmogorov_smirnov),
    "PSI >= .1, windows of 500": by_window(stability_index),
    "PSI >= .1, windows of 100": by_window(stability_index, 100),
    **DUMMIES,
}
