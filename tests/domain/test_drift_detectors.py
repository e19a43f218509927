"""Given the columns of the training data, when rows are predicted, then windows and verdicts: the same for the same
rows, however they come in."""

from collections.abc import Mapping
from itertools import pairwise
from typing import NamedTuple

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import false_discovery_control

from domain.detectors import InputDetectors, Reference, reference_of, thresholds
from domain.drift import Verdict, Window
from domain.model import Holdout
from domain.model_policy import Budget, Monitoring
from domain.pipeline import ColumnType, Value

KINDS: Mapping[str, ColumnType] = {"age": "number", "noise": "number", "town": "category", "gone": "number"}
HOLDOUT = Holdout(300, 30)
MONITORING = Monitoring(Budget(1, 30), 1_000, window=200)
STRICT = Monitoring(Budget(0.05, 30), 500)


class Asked(NamedTuple):
    columns: dict[str, list[Value]]
    predictions: list[str]


def asked(seed: int, rows: int, shift: float = 0.0) -> Asked:
    """`shift` moves age and with it the predictions; a tenth of noise is missing, and all of gone."""
    rng = np.random.default_rng(seed)
    age, noise = rng.normal(shift, 1, rows), rng.exponential(size=rows)
    missing = rng.random(rows) < 0.1
    columns: dict[str, list[Value]] = {
        "age": age.tolist(),
        "noise": [None if gone else value for gone, value in zip(missing, noise.tolist(), strict=True)],
        "town": rng.choice(["Ulm", "Bonn", "Jena"], rows).tolist(),
        "gone": [None] * rows,
    }
    return Asked(columns, ["yes" if each > 0.5 else "no" for each in age])


def together(first: Asked, second: Asked) -> Asked:
    columns = {name: first.columns[name] + second.columns[name] for name in first.columns}
    return Asked(columns, first.predictions + second.predictions)


def reference(seed: int = 0) -> Reference:
    known = asked(seed, 1_000)
    return reference_of(known.columns, KINDS, known.predictions, HOLDOUT)


def detectors(monitoring: Monitoring = MONITORING, known: Reference | None = None) -> InputDetectors:
    return InputDetectors(known or reference(), thresholds(monitoring, 3, 1), monitoring)


CHANGED = together(asked(1, 1_000), asked(2, 1_000, shift=0.8))


def test_a_window_compares_every_column_and_the_predictions():
    windows, _ = detectors().see(*CHANGED)
    assert [(window.number, window.at, window.rows) for window in windows] == [
        (number, 200 * number, 200) for number in range(1, 11)
    ]
    assert list(windows[0].features) == [*KINDS, "prediction"]
    assert [each.method for each in windows[0].features.values()] == ["ks", "ks", "chi2", "ks", "chi2"]


def test_what_changed_is_found_and_nothing_else():
    _, verdicts = detectors(STRICT).see(*together(asked(1, 5_000), asked(2, 2_000, shift=0.8)))
    assert {(verdict.kind, verdict.feature) for verdict in verdicts} == {
        ("feature", "age"),
        ("prediction", "prediction"),
    }
    assert {verdict.method for verdict in verdicts} == {"adwin-whitened", "ks", "chi2"}
    assert all(verdict.at > 5_000 for verdict in verdicts)
    assert [verdict.at for verdict in verdicts] == sorted(verdict.at for verdict in verdicts)
    assert verdicts[0].at <= 5_120


def test_the_verdict_of_a_window_carries_its_figures_and_is_beyond_its_threshold():
    windows, verdicts = detectors().see(*CHANGED)
    of_windows = [verdict for verdict in verdicts if verdict.method in ("ks", "chi2")]
    assert of_windows
    for verdict in of_windows:
        known = windows[int(verdict.details["window"]) - 1]
        compared = known.features[verdict.feature]
        assert verdict.at == known.at
        assert verdict.method == compared.method
        assert verdict.details["p_value"] == compared.p_value <= verdict.statistic <= verdict.threshold
        assert (verdict.details["statistic"], verdict.details["effect"]) == (compared.statistic, compared.effect)
        assert verdict.threshold == thresholds(MONITORING, 3, 1).window_alpha


def test_the_columns_of_a_look_pay_for_each_other():
    windows, verdicts = detectors().see(*CHANGED)
    alpha = thresholds(MONITORING, 3, 1).window_alpha
    for window in windows:
        adjusted = false_discovery_control([each.p_value for each in window.features.values()])
        drifted = {name for name, p_value in zip(window.features, adjusted, strict=True) if p_value <= alpha}
        assert drifted == {v.feature for v in verdicts if v.at == window.at and v.method in ("ks", "chi2")}


def test_ten_quiet_fortnights_of_a_strict_budget_have_no_alarm():
    for seed in range(10):
        assert detectors(STRICT, reference(100 + seed)).see(*asked(seed, 6_000))[1] == ()


@settings(deadline=None, max_examples=15)
@given(cuts=st.lists(st.integers(0, 2_000), max_size=40))
def test_how_rows_are_cut_into_calls_changes_no_window_and_no_verdict(cuts: list[int]):
    at_once = detectors().see(*CHANGED)
    piecewise: tuple[list[Window], list[Verdict]] = [], []
    detector = detectors()
    for first, last in pairwise([0, *sorted(cuts), 2_000]):
        columns = {name: values[first:last] for name, values in CHANGED.columns.items()}
        for found, more in zip(piecewise, detector.see(columns, CHANGED.predictions[first:last]), strict=True):
            found.extend(more)  # type: ignore[arg-type]
    assert (tuple(piecewise[0]), tuple(piecewise[1])) == at_once
    assert at_once[1]


@pytest.mark.parametrize("cuts", [(1_250,), (1_200,), (130, 150, 730, 1_250)])
def test_what_was_seen_before_need_not_be_compared_again(cuts: tuple[int, ...]):
    """After a restart: in the middle of a window, and between two."""
    first, then = detectors(), detectors()
    for start, last in pairwise([0, *cuts]):
        part = {name: values[start:last] for name, values in CHANGED.columns.items()}
        first.see(part, CHANGED.predictions[start:last])
        then.recall(part, CHANGED.predictions[start:last])
    rest = {name: values[cuts[-1] :] for name, values in CHANGED.columns.items()}
    seen = first.see(rest, CHANGED.predictions[cuts[-1] :])
    assert then.recall({name: [] for name in KINDS}, []) is None, "no rows change nothing"
    assert then.see(rest, CHANGED.predictions[cuts[-1] :]) == seen
    assert all(seen)


def test_the_same_rows_give_the_same_bytes_also_after_the_reference_was_stored():
    stored = msgspec.json.decode(msgspec.json.encode(reference()), type=Reference)
    assert stored == reference()
    first, second = (msgspec.json.encode(detectors(known=known).see(*CHANGED)) for known in (stored, reference()))
    assert first == second


def test_every_figure_has_at_most_six_significant_decimals():
    windows, verdicts = detectors().see(*CHANGED)
    figures = [
        figure
        for window in windows
        for each in window.features.values()
        for figure in (each.statistic, each.p_value, each.effect)
    ]
    figures += [figure for each in verdicts for figure in (each.statistic, each.threshold, *each.details.values())]
    assert figures == [float(f"{figure:.6g}") for figure in figures]


def test_without_known_predictions_they_are_not_compared():
    known = asked(0, 1_000)
    windows, _ = detectors(known=reference_of(known.columns, KINDS, None, HOLDOUT)).see(*CHANGED)
    assert list(windows[0].features) == list(KINDS)


def test_other_columns_than_those_of_the_reference_are_not_looked_at_and_none_may_be_absent():
    more = {**CHANGED.columns, "target": ["1"] * 2_000}
    assert detectors().see(more, CHANGED.predictions) == detectors().see(*CHANGED)
    with pytest.raises(KeyError):
        detectors().see({"age": CHANGED.columns["age"]}, CHANGED.predictions)


def test_no_rows_are_no_news():
    assert detectors().see({name: [] for name in KINDS}, []) == ((), ())
