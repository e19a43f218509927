"""Given a reference, when a window of rows is full, then how far each column is from it, and how likely by chance."""

import numpy as np
import pytest
from scipy.signal import lfilter
from scipy.stats import chi2_contingency, false_discovery_control, ks_2samp, kstwobign

from domain.autocorrelation import dispersion_of_categories, dispersion_of_numbers, lag_one
from domain.drift import FeatureWindow
from domain.drift_reference import MOST_VALUES, categories_of, numbers_of
from domain.normal_scores import NormalScores, numbers
from domain.two_samples import adjusted, merged
from domain.window_tests import of_categories, of_numbers


def numeric(reference: list[float | None], values: list[float | None]) -> FeatureWindow:
    known = numbers_of(reference)
    return of_numbers(known, NormalScores(known.sample), numbers(values))


def category(reference: list[str | None], values: list[str | None]) -> FeatureWindow:
    return of_categories(categories_of(reference), values)


def autoregressive(rng: np.random.Generator, rows: int, rho: float) -> np.ndarray:
    return np.asarray(lfilter([np.sqrt(1 - rho**2)], [1, -rho], rng.normal(size=rows + 500)))[500:]


@pytest.mark.parametrize("decimals", [8, 1, 0])
@pytest.mark.parametrize("shift", [0.0, 0.3])
def test_numbers_are_compared_as_kolmogorov_and_smirnov_did(decimals: int, shift: float):
    rng = np.random.default_rng(1)
    reference, values = rng.normal(size=800).round(decimals), rng.normal(shift, 1, 500).round(decimals)
    theirs = ks_2samp(reference, values, method="asymp")
    found = numeric(reference.tolist(), values.tolist())
    assert found.method == "ks"
    assert found.statistic == pytest.approx(theirs.statistic, rel=1e-5)
    assert found.p_value == pytest.approx(kstwobign.sf(np.sqrt(800 * 500 / 1_300) * theirs.statistic), rel=1e-4)


def test_categories_are_compared_by_their_contingency_table():
    rng = np.random.default_rng(2)
    reference, values = rng.choice(list("abc"), 800), rng.choice(list("abc"), 500, p=[0.4, 0.4, 0.2])
    table = [[(rows == name).sum() for name in "abc"] for rows in (reference, values)]
    found = category(reference.tolist(), values.tolist())
    assert found.method == "chi2"
    assert found.statistic == pytest.approx(chi2_contingency(table).statistic, rel=1e-5)
    assert found.p_value == pytest.approx(chi2_contingency(table).pvalue, rel=1e-4)


def test_rare_categories_are_compared_as_one():
    table = np.array([[500, 3, 400, 12, 0, 0], [250, 2, 200, 9, 2, 0]])
    assert merged(table).tolist() == [[500, 400, 3 + 12], [250, 200, 2 + 9 + 2]]
    assert merged(np.array([[10, 1], [10, 0]])).tolist() == [[11], [10]]
    assert merged(np.array([[10, 20, 0], [20, 10, 0]])).tolist() == [[10, 20], [20, 10]]


def test_as_many_different_values_as_rows_are_no_drift():
    names = [f"order-{number}" for number in range(1_500)]
    assert category(names[:1_000], names[1_000:]).p_value == 1


@pytest.mark.parametrize(
    ("categories", "rows", "window"), [(300, 1_000, 500), (300, 1_000, 5_000), (1_000, 5_000, 500)]
)
def test_categories_that_are_common_in_the_reference_by_luck_are_no_drift_of_the_window(
    categories: int, rows: int, window: int
):
    rng = np.random.default_rng(11)
    draws = [rng.integers(0, categories, size).astype(str).tolist() for size in (rows, window) * 30]
    p_values = [category(draws[2 * each], draws[2 * each + 1]).p_value for each in range(30)]
    assert sum(p_value <= 0.05 for p_value in p_values) <= 5


@pytest.mark.parametrize("unseen", [["c"] * 25, [f"new-{number}" for number in range(25)]])
def test_categories_that_the_reference_does_not_know_are_drift(unseen: list[str]):
    mixed = np.random.default_rng(12).permutation(list("ab") * 240 + unseen)
    assert category(list("ab") * 500, mixed.tolist()).p_value < 1e-6


def test_the_same_rows_again_have_no_effect_and_half_a_deviation_more_has_a_great_one():
    rows = np.random.default_rng(3).normal(size=1_000)
    assert numeric(rows.tolist(), rows.tolist()).effect == pytest.approx(0, abs=1e-9)
    assert 0.15 < numeric(rows.tolist(), (rows + 0.5).tolist()).effect < 0.4


def test_the_effect_is_the_population_stability_index_between_deciles():
    found = numeric(list(range(1_000)), list(range(500)))
    expected, actual = np.full(10, 100.5 / 1_005), np.array([100.5] * 5 + [0.5] * 5) / 505
    assert found.effect == pytest.approx(float(((actual - expected) * np.log(actual / expected)).sum()), rel=0.02)


def test_more_or_fewer_missing_values_are_drift_of_numbers_and_of_categories():
    rows: list[float | None] = np.random.default_rng(4).normal(size=1_000).tolist()
    sparse = [None if number % 10 == 0 else value for number, value in enumerate(rows)]
    assert numeric(rows, sparse[:500]).method == "chi2"
    assert numeric(rows, sparse[:500]).p_value < 1e-10
    assert numeric(sparse, rows[:500]).p_value < 1e-10
    assert numeric(sparse, sparse[300:800]).p_value > 0.3
    named = [None if value is None else "a" for value in sparse]
    assert category(["a"] * 1_000, named[:500]).p_value < 1e-10
    assert category(named, named[300:800]).p_value > 0.3


def test_both_tests_of_a_number_with_missing_values_are_paid_for():
    rng = np.random.default_rng(5)
    rows, values = rng.normal(size=1_000).tolist(), rng.normal(0.1, 1, 500).tolist()
    assert numeric(rows, [*values, None]).p_value == pytest.approx(2 * numeric(rows, values).p_value, rel=0.02)


@pytest.mark.parametrize(
    ("reference", "values"),
    [
        ([], [1.0] * 50),
        ([None] * 100, [None] * 50),
        ([1.0] * 100, [1.0] * 50),
        ([1.0, None] * 100, [1.0, None] * 50),
        ([0.0], [1.0]),
    ],
)
def test_nothing_to_compare_is_no_drift(reference: list[float | None], values: list[float | None]):
    assert numeric(reference, values).p_value > 0.1
    as_names = [[None if value is None else str(value) for value in rows] for rows in (reference, values)]
    assert category(*as_names).p_value > 0.1


def test_a_column_that_is_missing_all_at_once_is_drift():
    assert numeric([1.0, 2.0] * 300, [None] * 100).p_value < 1e-10
    assert numeric([None] * 600, [1.0, 2.0] * 50).p_value < 1e-10
    assert category(["a", "b"] * 300, [None] * 100).p_value < 1e-10


def rejected(rho: float, alpha: float, shuffled: bool) -> tuple[float, float]:
    """The parts of quiet windows of numbers, and of categories cut from them, whose p-value is at most alpha."""
    rng = np.random.default_rng(8)
    numeric_hits, category_hits = 0, 0
    for _ in range(150):
        reference, values = autoregressive(rng, 1_000, rho), autoregressive(rng, 500, rho)
        reference = rng.permutation(reference) if shuffled else reference
        numeric_hits += numeric(reference.tolist(), values.tolist()).p_value <= alpha
        names = [np.digitize(rows, [-0.8, 0, 0.8]).astype(str).tolist() for rows in (reference, values)]
        category_hits += category(*names).p_value <= alpha
    return numeric_hits / 150, category_hits / 150


@pytest.mark.parametrize("rho", [0.0, 0.5, 0.9])
@pytest.mark.parametrize("shuffled", [False, True])
def test_neighbours_that_are_alike_make_no_more_false_alarms(rho: float, shuffled: bool):
    numeric_part, category_part = rejected(rho, 0.05, shuffled)
    assert numeric_part <= 0.1
    assert category_part <= 0.1


def test_the_dispersion_is_that_of_a_mean_of_rows_that_are_alike():
    rows = autoregressive(np.random.default_rng(9), 20_000, 0.8)
    assert lag_one(rows) == pytest.approx(0.8, abs=0.02)
    assert dispersion_of_numbers(rows) == pytest.approx((1 + 0.8) / (1 - 0.8), rel=0.15)
    assert dispersion_of_numbers(np.random.default_rng(9).permutation(rows)) == 1
    assert dispersion_of_categories(np.repeat(np.arange(20) % 2, 50)) > 10
    assert dispersion_of_categories(np.arange(1_000)) == 1


def test_columns_are_adjusted_for_their_number_as_benjamini_and_hochberg_did():
    p_values = [0.001, 0.02, 0.9, 0.03]
    assert adjusted(p_values) == pytest.approx(false_discovery_control(p_values))
    assert adjusted([]) == []


def test_a_long_reference_is_kept_in_short():
    rng = np.random.default_rng(10)
    rows = rng.normal(size=40_000)
    known = numbers_of(rows.tolist())
    assert len(known.sample) == MOST_VALUES
    assert known.rows == 40_000
    assert ks_2samp(known.sample, rows).statistic < 2 / MOST_VALUES
    names = categories_of([f"n{number}" for number in rng.geometric(0.003, 40_000)])
    assert min(names.counts.values()) >= 40
    assert sum(names.counts.values()) < names.rows == 40_000
