"""From the false alarms that people allow to the thresholds of the detectors."""

from __future__ import annotations

from typing import Final

from domain.drift import Thresholds
from domain.model_policy import Monitoring
from domain.rounding import rounded

DELTA_PER_RATE: Final = 1_000.0
"""ADWIN's delta over its false alarms per row."""
MOST_DELTA: Final = 0.05
MOST_ALPHA: Final = 0.05
_MOST_SAMPLES: Final = 1e15
_DAY: Final = 86_400.0
_TOLERATED: Final = 2.0


def thresholds(monitoring: Monitoring, numeric: int, categorical: int) -> Thresholds:
    """For so many numeric and categorical features.

    The budget is a number of samples between two false alarms of everything. Half of the alarms are for the errors,
    which retrainings come from, a quarter for the windows; the last quarter is shared by the features: a numeric one
    gives its part to its two ADWINs, a categorical one to the windows.

    - Errors: an e-detector that alarms at A has at least A rows between false alarms (Shin, Ramdas and Rinaldo 2022)
      while the model errs no more than the null rate. As that is two standard errors above the holdout, there were
      .03 to .5 false alarms in A rows (holdouts of 150 to 5,000 rows, with 2 to 30 % errors; A from 1,000 to 100,000;
      1,500 streams each; .7 at the strictest with the smallest, nearly all of them after very lucky holdouts): A is
      the budget, and false alarms are half of it.
    - Windows: Benjamini-Hochberg at level alpha has a false alarm in at most alpha of the looks while nothing drifts.
    - ADWIN's own bound is for each look and far from sharp, so it is calibrated by simulation. Quiet streams of
      30,000 rows after a reference of 1,000 had, per row, this many false alarms of one ADWIN, over its delta:

      | delta | .2 | .05 | .02 | .01 | .005 | .002 |
      |---|---|---|---|---|---|---|
      | standard normal, value | 5.9e-4 | 4.5e-4 | 4.2e-4 | 4.0e-4 | 2.5e-4 | 2.5e-4 |
      | standard normal, square | 6.0e-4 | 6.1e-4 | 5.6e-4 | 5.4e-4 | 5.1e-4 | 5.3e-4 |
      | autoregressive, .5, value | 6.6e-4 | 6.1e-4 | 6.0e-4 | 5.4e-4 | 5.1e-4 | 5.7e-4 |
      | 1 with a chance of .01, else 0, square (the worst) | 6.7e-4 | 7.1e-4 | 8.2e-4 | 8.3e-4 | 8.9e-4 | 8.6e-4 |

      (12 million rows each.) Early and late rows alarm alike. 1e-3 covers them all: delta is 1,000 times the rate.
    """
    budget = monitoring.budget
    samples = monitoring.expected_per_day * budget.days / budget.false_alarms
    samples = min(max(samples, 1.0), _MOST_SAMPLES)
    features = max(numeric + categorical, 1)
    rate = 1 / (4 * samples)
    windows = rate * (1 + categorical / features)
    return Thresholds(
        samples=rounded(samples),
        errors_arl=rounded(samples),
        adwin_delta=rounded(min(MOST_DELTA, DELTA_PER_RATE * rate / (2 * features))),
        window_alpha=rounded(min(MOST_ALPHA, windows * monitoring.window)),
    )


def per_day(predictions: int, seconds: float) -> float:
    """At the rate of the time since the beginning."""
    return rounded(predictions * _DAY / max(seconds, 1.0))


def rate_warning(expected: int, predictions: int, seconds: float) -> str | None:
    """What becomes of the budget when `expected` per day are more than twice, or less than half, of those that have
    come in the time; None also before a day has passed: rows come in batches, too."""
    rate = per_day(predictions, seconds)
    if seconds < _DAY or expected / _TOLERATED <= rate <= expected * _TOLERATED:
        return None
    told = f"{rate:,.0f} predictions a day at the rate so far, {expected:,} are expected"
    if rate > expected:
        return f"{told}: there are {rate / expected:,.1f} times as many false alarms as the budget allows"
    return f"{told}: drift is found later than the budget would allow"
