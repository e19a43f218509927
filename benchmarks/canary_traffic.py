"""What the simulated rollouts see: errors of two arms by interval, and how long their answers take."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np
from numpy.random import Generator

from benchmarks.canary_rules import Floats, Ints, Traffic
from domain.measurement import Counts, Latency, bucket_of

INTERVALS: Final = 60
MEDIAN: Final = 0.05


@dataclass(frozen=True)
class Scenario:
    """`name`: the error rate of the canary beside that of the baseline."""

    name: str
    draw: Callable[[Generator, int], Traffic]


def steady(canary: float, baseline: float, requests: int = 100, baseline_requests: int = 100) -> Scenario:
    def draw(rng: Generator, runs: int) -> Traffic:
        return _independent(
            rng, runs, np.full(INTERVALS, canary), np.full(INTERVALS, baseline), requests, baseline_requests
        )

    return Scenario(f"{100 * canary:g} % beside {100 * baseline:g} %", draw)


def _spike(rng: Generator, runs: int) -> Traffic:
    rate = np.full(INTERVALS, 0.01)
    rate[20:30] = 0.08
    return _independent(rng, runs, rate, rate, 100, 100)


def _independent(
    rng: Generator, runs: int, canary: Floats, baseline: Floats, requests: int, baseline_requests: int
) -> Traffic:
    """Rows of errors are rare enough at these rates for the incident rule to change little; it is left out."""
    of_canary = rng.binomial(requests, canary, (runs, INTERVALS))
    of_baseline = rng.binomial(baseline_requests, baseline, (runs, INTERVALS))
    return Traffic(requests, baseline_requests, of_canary, of_baseline, of_canary, of_baseline)


def _bursts(rng: Generator, runs: int) -> Traffic:
    """The same 1 % on both arms, but errors come in rows of 5 on average; peers count errors, we count rows."""
    canary, baseline = _rows(rng, runs, 5, 495), _rows(rng, runs, 5, 495)
    return Traffic(100, 100, canary[0], baseline[0], canary[1], baseline[1])


def _rows(rng: Generator, runs: int, bad: float, good: float) -> tuple[Ints, Ints]:
    """Errors and incidents of one arm, whose requests alternate between good and bad rows of these mean lengths."""
    requests = INTERVALS * 100
    rows = round(4 * requests / (bad + good)) + 20
    lengths = np.stack([rng.geometric(1 / good, (runs, rows)), rng.geometric(1 / bad, (runs, rows))], axis=2)
    ends = lengths.reshape(runs, -1).cumsum(axis=1)
    starts, stops = ends[:, 0::2], ends[:, 1::2]
    errors, incidents = np.zeros((runs, requests + 1), np.int64), np.zeros((runs, requests + 1), np.int64)
    run = np.broadcast_to(np.arange(runs)[:, None], starts.shape)
    np.add.at(errors, (run, np.minimum(starts, requests)), 1)
    np.add.at(errors, (run, np.minimum(stops, requests)), -1)
    for tenth in range(0, int((stops - starts).max()), 10):
        counted = np.where(starts + tenth < stops, starts + tenth, requests)
        np.add.at(incidents, (run, np.minimum(counted, requests)), 1)
    return _by_interval(errors.cumsum(axis=1)), _by_interval(incidents)


def _by_interval(requests: Ints) -> Ints:
    return requests[:, :-1].reshape(len(requests), INTERVALS, 100).sum(axis=2)


def _always_wrong(rng: Generator, runs: int) -> Traffic:
    """All of the canary's answers are errors; in a row, they are an incident each tenth."""
    baseline = rng.binomial(100, 0.01, (runs, INTERVALS))
    wrong = np.full((runs, INTERVALS), 100)
    return Traffic(100, 100, wrong, baseline, wrong // 10, baseline)


EQUAL: Final = (
    steady(0.01, 0.01),
    Scenario("both 8 % for 10 intervals", _spike),
    Scenario("1 % beside 1 %, rows of 5", _bursts),
    steady(0.005, 0.01),
    steady(0.015, 0.01),
    steady(0.02, 0.01),
    steady(0.05, 0.01),
    Scenario("100 % beside 1 %", _always_wrong),
)
TENTH: Final = (steady(0.01, 0.01, 100, 900), steady(0.02, 0.01, 100, 900), steady(0.05, 0.01, 100, 900))
LOW: Final = (steady(0.01, 0.01, 20, 20), steady(0.02, 0.01, 20, 20), steady(0.05, 0.01, 20, 20))


class Answers(NamedTuple):
    """How long each answer took, in seconds: by rollout, interval and request."""

    canary: Floats
    baseline: Floats


def timed(
    canary: Callable[[Generator, int], Floats], baseline: Callable[[Generator, int], Floats]
) -> Callable[[Generator, int], Answers]:
    return lambda rng, runs: Answers(canary(rng, runs), baseline(rng, runs))


def _usual(factor: float = 1.0) -> Callable[[Generator, int], Floats]:
    return lambda rng, runs: rng.lognormal(math.log(MEDIAN * factor), 0.6, (runs, INTERVALS, 100))


def _tail(rng: Generator, runs: int) -> Floats:
    usual = _usual()(rng, runs)
    return np.where(rng.random(usual.shape) < 0.02, 10.0, 1.0) * usual


def _paused(rng: Generator, runs: int) -> Floats:
    """In each twentieth interval, a pause of half a second hits up to a fifth of the arm's answers."""
    hit = (rng.random((runs, INTERVALS)) < 0.05) * rng.uniform(0, 20, (runs, INTERVALS))
    return _usual()(rng, runs) + 0.5 * (np.arange(100) < hit[:, :, None])


LATENCY: Final = {
    "same": timed(_usual(), _usual()),
    "same, with pauses": timed(_paused, _paused),
    "10 % slower": timed(_usual(1.1), _usual()),
    "30 % slower": timed(_usual(1.3), _usual()),
    "2 % take 10 x": timed(_tail, _usual()),
}


def counted(traffic: Traffic, answers: Answers | None, run: int, interval: int) -> tuple[Counts, Counts]:
    return (
        Counts(
            traffic.canary_requests,
            int(traffic.canary_errors[run, interval]),
            int(traffic.canary_incidents[run, interval]),
            _histogram(answers.canary[run, interval]) if answers else {},
        ),
        Counts(
            traffic.baseline_requests,
            int(traffic.baseline_errors[run, interval]),
            int(traffic.baseline_incidents[run, interval]),
            _histogram(answers.baseline[run, interval]) if answers else {},
        ),
    )


def _histogram(seconds: Floats) -> Latency:
    latency: Latency = {}
    for each in seconds.tolist():
        bucket = bucket_of(each)
        latency[bucket] = latency.get(bucket, 0) + 1
    return latency


def some(traffic: Traffic, runs: int) -> Traffic:
    errors = (traffic.canary_errors, traffic.baseline_errors, traffic.canary_incidents, traffic.baseline_incidents)
    return Traffic(traffic.canary_requests, traffic.baseline_requests, *(each[:runs] for each in errors))
