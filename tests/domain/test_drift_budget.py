"""Given the false alarms that people allow, then thresholds whose false alarms together are no more."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.detectors import POLICY, thresholds
from domain.drift import Thresholds
from domain.drift_budget import DELTA_PER_RATE, per_day, rate_warning
from domain.model_policy import Budget, Monitoring


def monthly(false_alarms: float, per_day: int = 1_000, window: int = 500) -> Monitoring:
    return Monitoring(Budget(false_alarms, 30), per_day, window)


def alarms_per_row(known: Thresholds, numeric: int, window: int = 500) -> float:
    """Of the bound of the errors, half are ever seen."""
    return 0.5 / known.errors_arl + known.window_alpha / window + 2 * numeric * known.adwin_delta / DELTA_PER_RATE


@pytest.mark.parametrize(("numeric", "categorical"), [(1, 0), (20, 0), (3, 5), (0, 4)])
def test_false_alarms_of_errors_windows_and_features_are_the_budget_together(numeric: int, categorical: int):
    known = thresholds(monthly(0.05), numeric, categorical)
    assert known.samples == 600_000
    assert alarms_per_row(known, numeric) == pytest.approx(1 / 600_000, rel=1e-4)


def test_a_feature_has_the_same_part_of_the_budget_whatever_its_kind():
    mixed, numeric = thresholds(monthly(1), 1, 9), thresholds(monthly(1), 10, 0)
    assert mixed.adwin_delta == numeric.adwin_delta
    assert mixed.window_alpha == pytest.approx(1.9 * numeric.window_alpha, rel=1e-4)


def test_one_alarm_in_eighty_thousand_samples_is_about_the_usual_delta_of_one_feature():
    assert 0.001 <= thresholds(Monitoring(Budget(1, 80), 1_000), 1, 0).adwin_delta <= 0.003


def test_who_allows_more_false_alarms_gets_more_sensitive_detectors():
    strict, generous = thresholds(monthly(0.1), 5, 5), thresholds(monthly(2), 5, 5)
    assert generous.errors_arl < strict.errors_arl
    assert generous.adwin_delta > strict.adwin_delta
    assert generous.window_alpha > strict.window_alpha


def test_a_look_never_has_more_than_one_false_alarm_in_twenty():
    assert thresholds(monthly(1_000, window=1_000_000), 1, 1).window_alpha == 0.05


@given(
    alarms=st.floats(0, 1_000, exclude_min=True),
    days=st.floats(0, 3_660, exclude_min=True),
    per_day=st.integers(1, 1_000_000_000),
    features=st.integers(0, 1_000),
)
def test_any_budget_gives_thresholds_that_detectors_can_work_with(
    alarms: float, days: float, per_day: int, features: int
):
    known = thresholds(Monitoring(Budget(alarms, days), per_day), features, 0)
    assert 1 <= known.errors_arl < math.inf
    assert 0 < known.adwin_delta <= 0.05
    assert 0 < known.window_alpha <= 0.05


def test_the_policy_names_the_rule_and_its_constants():
    rule, constants = POLICY.rsplit(" ", 1)
    assert rule == "drift/1"
    assert len(constants) == 12


DAY = 86_400.0


@pytest.mark.parametrize(
    ("predictions", "seconds"),
    [(999, 1.0), (10_000, 67.0), (1_999, DAY), (501, DAY), (10, DAY - 1), (5_000, DAY - 1), (0, 0.0)],
)
def test_a_rate_near_the_expected_one_or_not_known_yet_is_no_warning(predictions: int, seconds: float):
    assert rate_warning(1_000, predictions, seconds) is None


def test_a_rate_that_the_budget_was_not_made_for_is_told_with_what_it_means():
    assert rate_warning(1_000, 8_400, 2 * DAY) == (
        "4,200 predictions a day at the rate so far, 1,000 are expected: "
        "there are 4.2 times as many false alarms as the budget allows"
    )
    assert rate_warning(1_000, 300, DAY) == (
        "300 predictions a day at the rate so far, 1,000 are expected: drift is found later than the budget would allow"
    )
    assert per_day(1_000, 0.0) == 86_400_000, "a second, at least"
