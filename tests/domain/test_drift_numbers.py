"""Given a reference in the order of time, when a number changes its mean or spread, then the row at which it is seen;
and no alarm for outliers, for neighbours that are alike, or for what is missing."""

from statistics import median

import numpy as np
import pytest
from numpy.typing import NDArray
from river.drift import ADWIN
from scipy.signal import lfilter
from scipy.stats import norm

from domain.drift import Thresholds, Verdict
from domain.drift_budget import DELTA_PER_RATE
from domain.drift_reference import numbers_of
from domain.normal_scores import NormalScores, numbers
from domain.numeric_drift import NumericDetector, Whitening

Rows = NDArray[np.float64]
DELTA = 0.002
STRICT = Thresholds(66_667, 133_334, DELTA, 0.002)


def autoregressive(rng: np.random.Generator, rows: int, rho: float) -> Rows:
    """Each row is standard normal."""
    return np.asarray(lfilter([np.sqrt(1 - rho**2)], [1, -rho], rng.normal(size=rows + 500)))[500:]


def seen(reference: Rows, values: Rows, thresholds: Thresholds = STRICT) -> list[Verdict]:
    known = numbers_of(reference.tolist())
    return NumericDetector("x", known.rho, NormalScores(known.sample), thresholds).see(values)


def test_the_alarms_are_those_of_adwin_on_normal_scores_and_on_half_their_squares():
    rng = np.random.default_rng(1)
    reference = norm.ppf((np.arange(1_000) + 0.5) / 1_000)
    rng.shuffle(reference)
    known = numbers_of(reference.tolist())
    values = np.concatenate([rng.normal(size=2_000), rng.normal(0.7, 1, 2_000), rng.normal(0.7, 2, 2_000)])
    scores = NormalScores(known.sample).of(values)
    whitened = np.concatenate([scores[:1], (scores[1:] - known.rho * scores[:-1]) / np.sqrt(1 - known.rho**2)])
    expected = []
    for squared, figures in ((0.0, whitened), (1.0, whitened**2 / 2)):
        adwin = ADWIN(DELTA)
        for row, figure in enumerate(figures.tolist(), 1):
            adwin.update(figure)
            if adwin.drift_detected:
                expected.append((row, squared))
    found = [(verdict.at, verdict.details["squared"]) for verdict in seen(reference, values)]
    assert sorted(found) == sorted(expected)
    assert {squared for _, squared in found} == {0.0, 1.0}


@pytest.mark.parametrize(
    ("shift", "factor", "squared", "within"), [(0.5, 1, 0.0, 120), (-1, 1, 0.0, 60), (0, 1.5, 1.0, 90)]
)
def test_another_mean_or_spread_is_found_and_placed(shift: float, factor: float, squared: float, within: int):
    delays, misplaced = [], []
    for seed in range(30):
        rows = np.random.default_rng(seed).normal(size=7_000)
        rows[6_000:] = rows[6_000:] * factor + shift
        verdict = next(v for v in seen(rows[:1_000], rows[1_000:]) if v.at > 5_000 and v.details["squared"] == squared)
        delays.append(verdict.at - 5_000)
        misplaced.append(abs(verdict.at - verdict.details["width"] - 5_000))
    assert median(delays) <= within
    assert max(delays) <= 4 * within
    assert median(misplaced) <= 40


def test_a_verdict_carries_the_means_of_both_parts_and_by_how_much_they_may_differ():
    rng = np.random.default_rng(5)
    for verdict in seen(rng.normal(size=1_000), np.concatenate([rng.normal(size=2_000), rng.normal(0.6, 1.6, 8_000)])):
        known = verdict.details
        assert verdict.kind == "feature"
        assert verdict.method == "adwin-whitened"
        assert verdict.statistic == pytest.approx(abs(known["mean_after"] - known["mean_before"]), abs=1e-5)
        assert verdict.statistic > verdict.threshold > 0
        assert abs(known["rho"]) < 0.1


def alarms(draw: object, delta: float, streams: int, rows: int = 5_000) -> tuple[int, float]:
    """Of both ADWINs on quiet streams, and as many as the budget would allow for."""
    found = 0
    for seed in range(streams):
        stream = draw(np.random.default_rng(seed), rows + 1_000)  # type: ignore[operator]
        found += len(seen(stream[:1_000], stream[1_000:], Thresholds(1, 1, delta, 0.05)))
    return found, 2 * streams * rows * delta / DELTA_PER_RATE


@pytest.mark.parametrize(
    "draw",
    [
        lambda rng, rows: rng.normal(size=rows),
        lambda rng, rows: autoregressive(rng, rows, 0.5),
        lambda rng, rows: autoregressive(rng, rows, -0.5),
        lambda rng, rows: rng.lognormal(0, 1, rows),
        lambda rng, rows: rng.standard_cauchy(rows),
        lambda rng, rows: (rng.random(rows) < 0.02) * 1.0,
        lambda rng, rows: rng.poisson(0.2, rows) * 1.0,
    ],
    ids=["normal", "autoregressive", "alternating", "lognormal", "cauchy", "rare", "counts"],
)
def test_quiet_numbers_of_any_distribution_alarm_as_rarely_as_the_budget_says(draw: object):
    found, allowed = alarms(draw, 0.05, 40)
    assert found <= allowed + 2 * np.sqrt(allowed)


def test_what_the_row_before_explains_would_be_an_alarm_otherwise():
    """A shuffled reference does not know that neighbours are alike."""
    rows = autoregressive(np.random.default_rng(2), 11_000, 0.7)
    shuffled = np.random.default_rng(2).permutation(rows[:1_000])
    assert seen(rows[:1_000], rows[1_000:]) == []
    assert len(seen(shuffled, rows[1_000:])) >= 3


def test_missing_values_are_passed_over():
    rng = np.random.default_rng(3)
    reference, rows = rng.normal(size=1_000), np.concatenate([rng.normal(size=1_000), rng.normal(1, 1, 1_000)])
    gaps = np.insert(rows, np.repeat(np.arange(0, 2_000, 10), 3), np.nan)
    independent = NormalScores(numbers_of(reference.tolist()).sample)
    whole = NumericDetector("x", 0.0, independent, STRICT).see(rows)
    there = np.flatnonzero(~np.isnan(gaps))
    found = NumericDetector("x", 0.0, independent, STRICT).see(gaps)
    assert [verdict.at for verdict in found] == [int(there[verdict.at - 1]) + 1 for verdict in whole]
    assert [(v.statistic, v.details) for v in found] == [(v.statistic, v.details) for v in whole]
    assert found


@pytest.mark.parametrize("rho", [0.6, -0.6])
@pytest.mark.parametrize("missing", [0.0, 0.5])
def test_what_is_left_after_whitening_varies_by_one_and_resembles_its_neighbours_no_more(rho: float, missing: float):
    rng = np.random.default_rng(6)
    rows = autoregressive(rng, 40_000, rho)
    rows[rng.random(len(rows)) < missing] = np.nan
    there, left = Whitening(rho).of(rows)
    assert there == np.flatnonzero(~np.isnan(rows)).tolist()
    assert np.var(left) == pytest.approx(1, abs=0.04)
    assert np.corrcoef(left[1:], left[:-1])[0, 1] == pytest.approx(0, abs=0.03)


@pytest.mark.parametrize("reference", [[], [2.0], [2.0] * 100, [None] * 100])
def test_a_reference_that_says_nothing_makes_no_alarm(reference: list[float | None]):
    known = numbers_of(reference)
    detector = NumericDetector("x", known.rho, NormalScores(known.sample), STRICT)
    assert detector.see(np.random.default_rng(7).normal(size=5_000)) == []
    assert detector.see(np.full(500, np.nan)) == []


def test_scores_are_normal_ranks_and_outliers_weigh_no_more_than_theirs():
    scores = NormalScores([1.0, 2.0, 2.0, 3.0])
    values = np.array([-1e300, 1.0, 2.0, 2.5, 3.0, 1e300, np.nan])
    expected = norm.ppf(np.array([0.5, 1, 2.5, 3.5, 4, 4.5]) / 5)
    assert scores.of(values)[:-1] == pytest.approx(expected, abs=1e-6)
    assert np.isnan(scores.of(values)[-1])


def test_what_is_no_finite_number_is_missing():
    known = numbers([1, 2.5, None, float("inf"), float("nan"), "3"])
    assert known[:2].tolist() == [1.0, 2.5]
    assert np.isnan(known[2:]).all()
