"""Whether the rows of a window come from where the reference comes from, column by column.

Numbers: Kolmogorov and Smirnov. Categories, predicted labels and how much is missing: chi-squared of the contingency
table. Rows that resemble their neighbours count for fewer (`domain.autocorrelation`), by what they are like in the
reference or in the window, whichever is more. The effect is the population stability index, PSI: how much it matters,
not whether it is there.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Final

import numpy as np

from domain.autocorrelation import dispersion_of_categories, dispersion_of_numbers
from domain.drift import FeatureWindow, Method
from domain.drift_reference import Categories, Numbers, codes
from domain.evidence import Floats
from domain.normal_scores import NormalScores
from domain.rounding import rounded
from domain.two_samples import NO_TEST, Counts, Test, chi_squared, kolmogorov_smirnov, merged

_DECILES: Final = np.arange(1, 10) / 10


def of_numbers(reference: Numbers, scores: NormalScores, values: Floats) -> FeatureWindow:
    """nan is missing. Where there is any, in the window or the reference, the lesser p-value of both tests counts
    twice (Bonferroni)."""
    known = values[~np.isnan(values)]
    distance = _distance(reference, scores, values, known)
    effect = _psi(*_by_decile(scores.sample, known))
    missing = len(values) - len(known)
    if not (missing or reference.missing):
        return _window("ks", distance, effect)
    table = np.array([[reference.rows - reference.missing, reference.missing], [len(known), missing]])
    share = chi_squared(table, reference.missing_dispersion)
    if share.p_value < distance.p_value:
        return _window("chi2", _twice(share), _psi(*table))
    return _window("ks", _twice(distance), effect)


def of_categories(reference: Categories, values: Sequence[str | None]) -> FeatureWindow:
    """Missing is one of them, and so is whatever the reference does not name."""
    table = _table(reference, values)
    dispersion = max(dispersion_of_categories(codes(values)), reference.dispersion)
    return _window("chi2", chi_squared(table, dispersion), _psi(*merged(table)))


def _window(method: Method, test: Test, effect: float) -> FeatureWindow:
    return FeatureWindow(method, rounded(test.statistic), rounded(test.p_value), rounded(effect))


def _twice(test: Test) -> Test:
    return Test(test.statistic, min(1.0, 2 * test.p_value))


def _distance(reference: Numbers, scores: NormalScores, values: Floats, known: Floats) -> Test:
    there = reference.rows - reference.missing
    if not (len(known) and there):
        return NO_TEST
    dispersion = max(dispersion_of_numbers(scores.of(values)), reference.dispersion)
    return kolmogorov_smirnov(scores.sample, known, there * len(known) / (there + len(known)) / dispersion)


def _by_decile(sample: Floats, known: Floats) -> tuple[Counts, Counts]:
    """Rows between the deciles of the reference."""
    if not len(sample):
        return np.zeros(1, np.int64), np.zeros(1, np.int64)
    edges = np.unique(np.quantile(sample, _DECILES, method="inverted_cdf"))
    bins = len(edges) + 1
    before = np.bincount(np.searchsorted(edges, sample), minlength=bins)
    return before, np.bincount(np.searchsorted(edges, known), minlength=bins)


def _psi(reference: Counts, window: Counts) -> float:
    """With half a row more in each bin, so that none is empty."""
    expected = (reference + 0.5) / (reference.sum() + 0.5 * len(reference))
    actual = (window + 0.5) / (window.sum() + 0.5 * len(window))
    return float(np.sum((actual - expected) * np.log(actual / expected)))


def _table(reference: Categories, values: Sequence[str | None]) -> Counts:
    """Its last columns are what is missing, and the categories that the reference does not name."""
    counts = Counter(values)
    missing = counts.pop(None, 0)
    of_window = [counts.pop(name, 0) for name in reference.counts]
    of_reference = list(reference.counts.values())
    others = reference.rows - reference.missing - sum(of_reference)
    return np.array([[*of_reference, reference.missing, others], [*of_window, missing, counts.total()]])
