"""Given a holdout, when labelled rows come in, then an alarm as soon as the model errs more often than on it."""

import math
from itertools import pairwise
from statistics import median

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from domain.detectors import ErrorDetector, thresholds
from domain.drift import Thresholds, Verdict
from domain.error_drift import RATIOS, null_rate
from domain.model import Holdout
from domain.model_policy import Budget, Monitoring

HOLDOUT = Holdout(1_000, 100)
ONE_IN_66_667 = Monitoring(Budget(1.5, 100), 1_000)


def alarming(rows: float) -> Thresholds:
    return Thresholds(rows, rows, 0.002, 0.001)


def rows(rng: np.random.Generator, *parts: tuple[int, float]) -> list[bool]:
    return np.concatenate([rng.random(number) < rate for number, rate in parts]).tolist()


def test_the_rate_that_is_no_drift_leaves_two_standard_errors_to_luck():
    assert null_rate(HOLDOUT) == pytest.approx(101 / 1_002 + 2 * math.sqrt(101 * 901 / 1_002**3))


def test_a_holdout_without_an_error_still_leaves_room_for_some():
    assert null_rate(Holdout(1_000, 0)) == pytest.approx(0.003, abs=5e-4)
    assert ErrorDetector(Holdout(1_000, 0), alarming(1e4)).see([False] * 1_000 + [True]) == ()


def test_without_a_holdout_it_is_no_drift_to_be_wrong_half_of_the_time():
    assert ErrorDetector(Holdout(0, 0), alarming(1e4)).see([True, False] * 5_000) == ()


def by_definition(wrong: list[bool], null: float) -> list[float]:
    """ln of the mean over alternatives of the likelihood ratios summed over all times at which it may have begun."""
    so_far = []
    for ratio in RATIOS:
        worse = min(null * ratio, 1 - (1 - null) / ratio)
        steps = np.where(wrong, math.log(worse / null), math.log((1 - worse) / (1 - null)))
        sums = np.concatenate(([0.0], steps.cumsum()))
        so_far.append([np.logaddexp.reduce(sums[row] - sums[:row]) for row in range(1, len(sums))])
    return (np.logaddexp.reduce(np.array(so_far), axis=0) - math.log(len(RATIOS))).tolist()


@pytest.mark.parametrize("holdout", [HOLDOUT, Holdout(50, 30), Holdout(300, 0)])
def test_the_evidence_is_of_all_times_since_when_and_of_all_ratios_by_how_much(holdout: Holdout):
    wrong = rows(np.random.default_rng(4), (300, null_rate(holdout)), (300, 0.9))
    expected = by_definition(wrong, null_rate(holdout))
    first = next(row for row, log_e in enumerate(expected, 1) if log_e >= math.log(5_000))
    verdict = ErrorDetector(holdout, alarming(5_000)).see(wrong)[0]
    assert verdict.at == first
    assert verdict.statistic == pytest.approx(expected[first - 1], rel=1e-5)
    assert verdict.threshold == pytest.approx(math.log(5_000), rel=1e-5)


@pytest.mark.parametrize("rate", [0.02, 0.1, 0.3])
def test_with_holdouts_as_lucky_as_they_come_there_are_half_as_many_false_alarms(rate: float):
    alarms, rng = 0, np.random.default_rng(10)
    for _ in range(60):
        holdout = Holdout(500, int(rng.binomial(500, rate)))
        alarms += len(ErrorDetector(holdout, alarming(1_000)).see(rows(rng, (4_000, rate))))
    assert 0 < alarms <= 0.5 * 60 * 4_000 / 1_000


@pytest.mark.parametrize("budget", [50, 400, 2_000])
def test_false_alarms_are_no_closer_than_the_budget_however_unlucky_the_holdout(budget: int):
    """As many errors as are no drift by the widest reading of the holdout, looked at after each row."""
    rng = np.random.default_rng(9)
    alarms = ErrorDetector(HOLDOUT, alarming(budget)).see(rows(rng, (100 * budget, null_rate(HOLDOUT))))
    assert 0 < len(alarms) <= 100


def test_twice_as_many_errors_are_found_within_312_rows_and_no_more_than_usual_are_no_drift():
    delays, false = [], 0
    for seed in range(40):
        rng = np.random.default_rng(seed)
        holdout = Holdout(1_000, int(rng.binomial(1_000, 0.1)))
        found = ErrorDetector(holdout, alarming(thresholds(ONE_IN_66_667, 0, 0).errors_arl)).see(
            rows(rng, (5_000, 0.1), (5_000, 0.2))
        )
        false += sum(verdict.at <= 5_000 for verdict in found)
        delays.append(next(verdict.at for verdict in found if verdict.at > 5_000) - 5_000)
    assert median(delays) <= 312
    assert max(delays) <= 2_000
    assert false <= 2


def test_a_verdict_carries_what_it_was_computed_from():
    verdict = ErrorDetector(HOLDOUT, alarming(1e4)).see([True] * 20)[0]
    assert verdict.kind == "errors"
    assert verdict.method == "e-detector"
    assert verdict.feature == ""
    assert verdict.statistic >= verdict.threshold
    known = verdict.details
    assert known["rows"] == known["wrong"] == verdict.at
    assert (known["holdout_rows"], known["holdout_wrong"]) == (1_000, 100)
    assert known["null_rate"] == pytest.approx(null_rate(HOLDOUT), rel=1e-5)
    assert known["ratio"] == 5


def test_after_an_alarm_evidence_is_gathered_anew():
    first, second, *_ = ErrorDetector(HOLDOUT, alarming(1e4)).see([True] * 50)
    assert second.at == 2 * first.at
    assert second.details == first.details


def test_fewer_errors_are_no_drift():
    assert ErrorDetector(HOLDOUT, alarming(1e3)).see([False] * 20_000) == ()


@settings(deadline=None, max_examples=25)
@given(seed=st.integers(0, 2**32 - 1), cuts=st.lists(st.integers(0, 2_000), max_size=20))
def test_how_rows_are_cut_into_calls_changes_no_verdict(seed: int, cuts: list[int]):
    wrong = rows(np.random.default_rng(seed), (1_000, 0.1), (1_000, 0.4))
    at_once = ErrorDetector(HOLDOUT, alarming(1e4)).see(wrong)
    detector = ErrorDetector(HOLDOUT, alarming(1e4))
    places = [0, *sorted(cuts), len(wrong)]
    piecewise: list[Verdict] = []
    for first, last in pairwise(places):
        piecewise += detector.see(wrong[first:last])
    assert tuple(piecewise) == at_once
    assert at_once
