"""The rules that peers document for judging a canary, re-implemented: which interval of each rollout they stop at.

A rule takes what was counted in many rollouts at once (rows) by interval (columns), and gives for each rollout the
number of the interval after which it rolls back, from 0; the number of intervals if it never does.

- Argo Rollouts, examples of its documentation: error rate of the canary over a limit, a measurement fails; the
  analysis fails when more than `failureLimit` measurements have failed.
- Flagger, default check: success rate below 99 % fails; rolled back when `threshold` checks have failed.
- A PromQL ratio as people write it for either: canary's error rate over 1.2 times the baseline's.
- Kayenta's judge: high if the lower end of the 98 % confidence interval of the Hodges-Lehmann shift (Mann-Whitney,
  normal approximation with ties and continuity, as R's wilcox.test) exceeds a quarter of the shift, and the mean grew.
  The ends are taken from the sorted differences, where Kayenta searches a root to a tolerance of 1e-4.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
Hits = NDArray[np.bool_]


class Traffic(NamedTuple):
    """Of each arm: requests by interval (the same in all), errors and incidents by rollout and interval."""

    canary_requests: int
    baseline_requests: int
    canary_errors: Ints
    baseline_errors: Ints
    canary_incidents: Ints
    baseline_incidents: Ints

    @property
    def canary_rate(self) -> Floats:
        return _rate(self.canary_errors, self.canary_requests)

    @property
    def baseline_rate(self) -> Floats:
        return _rate(self.baseline_errors, self.baseline_requests)


def _rate(errors: Ints, requests: int) -> Floats:
    return errors.astype(np.float64) / requests


Rule = Callable[[Traffic], Ints]


def first(hits: Hits) -> Ints:
    """The first column of each row that is hit; the number of columns if none is."""
    missed = np.full(len(hits), hits.shape[1], np.int64)
    return np.where(hits.any(axis=1), hits.argmax(axis=1).astype(np.int64), missed)


def failing(limit: float, failures: int) -> Rule:
    """Rolls back at the failure of this number."""
    return lambda traffic: failed(traffic.canary_rate > limit, failures)


def failed(failures: Hits, allowed: int) -> Ints:
    return first(failures.cumsum(axis=1) >= allowed)


def ratio(limit: float, failures: int) -> Rule:
    """Any error beside a baseline without one is infinitely worse, as in PromQL."""
    return lambda traffic: failed(traffic.canary_rate > limit * traffic.baseline_rate, failures)


def kayenta(every: int) -> Rule:
    """Looks after each `every` intervals, at all of them since the beginning."""
    return lambda traffic: mann_whitney(traffic.canary_rate, traffic.baseline_rate, every)


def mann_whitney(canary: Floats, baseline: Floats, every: int) -> Ints:
    """On one figure of each arm and interval."""
    hits = np.zeros(canary.shape, np.bool_)
    for looks in range(every, canary.shape[1] + 1, every):
        hits[:, looks - 1] = _high(canary[:, :looks], baseline[:, :looks])
    return first(hits)


def _high(canary: Floats, baseline: Floats) -> Hits:
    looks = canary.shape[1]
    differences = np.sort((canary[:, :, None] - baseline[:, None, :]).reshape(len(canary), -1), axis=1)
    shift = np.median(differences, axis=1)
    deviation = np.sqrt(looks**2 / 12 * (2 * looks + 1 - _ties(canary, baseline) / (2 * looks * (2 * looks - 1))))
    below = np.ceil(looks**2 / 2 - 2.3263 * deviation - 0.5).astype(np.int64)
    lower = differences[np.arange(len(canary)), np.maximum(below - 1, 0)]
    grew = canary.mean(axis=1) >= baseline.mean(axis=1)
    return (below >= 1) & (lower > 0.25 * np.abs(shift)) & grew


def _ties(canary: Floats, baseline: Floats) -> Floats:
    """Sum of t^3 - t over groups of t equal figures of one arm (at a shift that makes none equal across arms)."""
    total = np.zeros(len(canary))
    for arm in (canary, baseline):
        equal = (arm[:, :, None] == arm[:, None, :]).sum(axis=2, dtype=np.float64)
        total += (equal**2 - 1).sum(axis=1)
    return total


def always(traffic: Traffic) -> Ints:
    return np.zeros(len(traffic.canary_errors), np.int64)


def never(traffic: Traffic) -> Ints:
    return np.full(len(traffic.canary_errors), traffic.canary_errors.shape[1], np.int64)


def periodic(traffic: Traffic) -> Ints:
    """Every other rollout, in the tenth interval, whatever it sees."""
    return np.where(np.arange(len(traffic.canary_errors)) % 2 == 0, 9, traffic.canary_errors.shape[1])


PEERS: dict[str, Rule] = {
    "Argo: errors > 5 %, failureLimit 3": failing(0.05, 4),
    "Argo: errors > 2 %, failureLimit 3": failing(0.02, 4),
    "Argo: errors > 2 %, failureLimit 0": failing(0.02, 1),
    "Flagger: success < 99 %, threshold 5": failing(0.01, 5),
    "PromQL: > 1.2 x baseline, limit 2": ratio(1.2, 3),
    "Kayenta, every interval": kayenta(1),
    "Kayenta, one look at the end": kayenta(60),
    "dummy: always alarms": always,
    "dummy: never alarms": never,
    "dummy: every other rollout": periodic,
}
SLOW = frozenset({"Kayenta, every interval", "Kayenta, one look at the end"})
"""Judged on fewer rollouts."""
