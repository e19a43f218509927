"""Thirty days of 500 predictions with twenty features: in how many months anything alarms, of the whole product and of
usual rules on the p-values and indices of the same days."""

# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray
from river.drift import ADWIN
from scipy.stats import false_discovery_control

from benchmarks.drift_rules import Floats, by_row
from domain.detectors import ErrorDetector, InputDetectors, reference_of, thresholds
from domain.drift import Verdict, Window
from domain.model import Holdout
from domain.model_policy import Budget, Monitoring

FEATURES: Final = [f"feature{number}" for number in range(1, 21)]
DAYS: Final = 30
PER_DAY: Final = 500
KNOWN: Final = 1_000
HELD_OUT: Final = 300
MONITORING: Final = Monitoring(Budget(0.05, DAYS), PER_DAY, PER_DAY)
SHIFTED: Final = FEATURES[7]
"""What changes after fifteen days, by .3 s. The model does not use it."""
OURS: Final = "Sagacity, budget .05 in 30 days"


class Month(NamedTuple):
    """Whether each rule alarmed, and how often: after the change, if there is one."""

    alarms: dict[str, int]
    of_shifted: int
    """Alarms of ours that name the feature that changed."""


class _Day(NamedTuple):
    p_values: Floats
    effects: Floats


_Rule = Callable[[_Day], bool]


def _adjusted(day: _Day) -> float:
    adjusted: Floats = np.asarray(false_discovery_control(day.p_values))
    return float(adjusted.min())


DAILY: Final[dict[str, _Rule]] = {
    "KS <= .05 in any feature": lambda day: bool((day.p_values <= 0.05).any()),
    "KS, Bonferroni of the day": lambda day: bool((day.p_values <= 0.05 / len(FEATURES)).any()),
    "KS, Benjamini-Hochberg of the day": lambda day: _adjusted(day) <= 0.05,
    "the same at .05 / 30": lambda day: _adjusted(day) <= 0.05 / DAYS,
    "KS <= .05 in half of the features": lambda day: bool((day.p_values <= 0.05).mean() >= 0.5),
    "PSI >= .1 in any feature": lambda day: bool((day.effects >= 0.1).any()),
    "dummy: always alarms": lambda day: True,
    "dummy: never alarms": lambda day: False,
}
ROW_BY_ROW: Final = "ADWIN on each feature"
PERIODIC: Final = "dummy: every tenth day"


def month(rng: Generator, shift: float) -> Month:
    rows = rng.normal(size=(KNOWN + DAYS * PER_DAY, len(FEATURES)))
    if shift:
        rows[KNOWN + DAYS * PER_DAY // 2 :, FEATURES.index(SHIFTED)] += shift
    windows, verdicts = _ours(rng, rows)
    since = DAYS // 2 if shift else 0
    later = [verdict for verdict in verdicts if verdict.at > since * PER_DAY]
    days = [_day(window) for window in windows[since:]]
    alarms = {OURS: len(later), **{name: sum(map(rule, days)) for name, rule in DAILY.items()}}
    alarms[PERIODIC] = len(range(0, DAYS - since, 10))
    adwin = by_row(ADWIN)
    found = [row for column in rows.T for row in adwin(column[:KNOWN], column[KNOWN:])]
    alarms[ROW_BY_ROW] = sum(row > since * PER_DAY for row in found)
    return Month(alarms, sum(verdict.feature == SHIFTED for verdict in later))


def _ours(rng: Generator, rows: Floats) -> tuple[Sequence[Window], list[Verdict]]:
    """Everything that is monitored of a model: features, predictions and errors."""
    limits = thresholds(MONITORING, len(FEATURES), 0)
    holdout = Holdout(HELD_OUT, int(rng.binomial(HELD_OUT, 0.1)))
    before, after = _columns(rows[:KNOWN]), _columns(rows[KNOWN:])
    predictions = np.where(rows[:, 0] + rows[:, 1] > 0, "yes", "no").tolist()
    reference = reference_of(before, dict.fromkeys(FEATURES, "number"), predictions[:KNOWN], holdout)
    windows, verdicts = InputDetectors(reference, limits, MONITORING).see(after, predictions[KNOWN:])
    wrong: NDArray[np.bool_] = rng.random(DAYS * PER_DAY) < 0.1
    return windows, [*verdicts, *ErrorDetector(holdout, limits).see(wrong.tolist())]


def _columns(rows: Floats) -> dict[str, list[float | str | None]]:
    return {name: column.tolist() for name, column in zip(FEATURES, rows.T, strict=True)}


def _day(window: Window) -> _Day:
    features = [window.features[name] for name in FEATURES]
    return _Day(np.array([each.p_value for each in features]), np.array([each.effect for each in features]))
