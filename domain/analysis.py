"""Whether a canary is worse than its baseline, by evidence that anyone may watch at any moment.

People declare an `Analysis`; `observe` and `measure` add what was counted in an interval to the `Evidence`; `judge`
says whether the canary is to be rolled back, may be promoted, or for how many more requests nothing can be said.
Every verdict carries the counts that it came from, and `recompute` gives the same verdict from them.

Rollback needs evidence that the canary is worse: the mean of all metrics' e-values, errors, latency and each custom
metric with equal weight, reaches `budget`. An identical canary gets there in at most one of `budget` rollouts, however
often one looks. Promotion needs, of every metric, an e-value of `mistakes` against "the canary is harmful": its rate
is at least `harm_ratio` times the baseline's and at least `negligible`. No data is no evidence, for neither.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from hashlib import sha256
from itertools import pairwise
from typing import Annotated, Final, Literal, NamedTuple

import msgspec
import numpy as np
from msgspec import Meta, Struct, structs
from numpy.typing import ArrayLike, NDArray

from domain.evidence import Floats, first_reached, log_mean
from domain.measurement import Counts, Latency, Sample, buckets_within, upper_bound
from domain.segments import (
    Segment,
    Tally,
    Total,
    bucket_with,
    dispersion,
    grown,
    latest,
    slower,
    tally,
    total,
    weigh,
)

RULE: Final = "conditional-binomial/1"
_DECIMALS: Final = 6
"""Of logarithms: betaln of a million events is exact to 1e-10, so the next release of scipy finds the same figure."""
_FORECAST: Final = 1 << 24

MetricName = Annotated[str, Meta(pattern=r"^[A-Za-z][A-Za-z0-9_.:-]{0,63}$")]
Promql = Annotated[str, Meta(min_length=1, max_length=4000)]
Decision = Literal["roll_back", "promote", "undecided"]


class PrometheusCounters(Struct, frozen=True, forbid_unknown_fields=True):
    """PromQL expressions whose values are cumulative counts: all events of an arm, and the bad ones among them."""

    url: Annotated[str, Meta(pattern=r"^https?://\S+$", max_length=2000)]
    canary_total: Promql
    canary_bad: Promql
    baseline_total: Promql
    baseline_bad: Promql


class Metric(Struct, frozen=True, forbid_unknown_fields=True):
    """Counted by somebody else; without `prometheus`, measurements are published as events."""

    name: MetricName
    prometheus: PrometheusCounters | None = None


class Analysis(Struct, frozen=True, forbid_unknown_fields=True):
    """One false rollback in `budget` rollouts, one harmful canary promoted in `mistakes`; `interval` is in seconds.

    The canary may be slower than the baseline by the fraction `latency_tolerance` (counted in steps of 9 %).

    Harmful is a rate of bad events that is at least `harm_ratio` times the baseline's and at least `negligible`.
    """

    budget: Annotated[int, Meta(ge=2, le=10_000)] = 20
    mistakes: Annotated[int, Meta(ge=2, le=10_000)] = 20
    harm_ratio: Annotated[float, Meta(gt=1, le=100)] = 2.0
    negligible: Annotated[float, Meta(ge=1e-6, le=0.5)] = 0.005
    errors: bool = True
    latency_quantiles: Annotated[tuple[float, ...], Meta(max_length=5)] = (0.5, 0.9, 0.99)
    latency_tolerance: Annotated[float, Meta(ge=0, le=10)] = 0.0
    measurements: Annotated[tuple[Metric, ...], Meta(max_length=10)] = ()
    interval: Annotated[float, Meta(ge=0.1, le=3600)] = 5.0


class Evidence(Struct, frozen=True):
    """What was seen so far: segments by metric, the latest last, and the baseline's answers of the last intervals."""

    segments: dict[str, tuple[Segment, ...]] = {}
    recent: tuple[Latency, ...] = ()
    slower_than: dict[str, float] = {}


class Test(Struct, frozen=True):
    """One metric, with everything its e-values are computed from. A latency test counts answers over `slower_than`
    seconds (the latest threshold; it follows the baseline) as bad."""

    metric: str
    segments: tuple[Segment, ...]
    dispersion: float
    log_e_worse: float
    log_e_harmless: float
    slower_than: float | None = None

    @property
    def total(self) -> Total:
        return total(self.segments)


class Judgement(Struct, frozen=True):
    """`log_e_worse` is of all metrics together, `log_e_harmless` of the metric with the least evidence.

    `needs`: how many more requests on the canary lead to a decision if both arms go on as they did so far; None:
    more than sixteen million; 0: it is decided.
    """

    decision: Decision
    log_e_worse: float
    log_e_harmless: float
    needs: int | None
    tests: tuple[Test, ...]
    policy_version: str

    @property
    def worst(self) -> Test:
        """The metric with the most evidence of harm."""
        return max(self.tests, key=lambda test: test.log_e_worse)


class _Rule(NamedTuple):
    metric: str
    weight: float
    harm_ratio: float
    quantile: float | None = None


def faults(analysis: Analysis) -> list[str]:
    """What contradicts itself in a declared analysis, all at once; empty: nothing."""
    found: list[str] = []
    quantiles = analysis.latency_quantiles
    if not all(0 < quantile < 1 for quantile in quantiles):
        found.append("latency_quantiles must lie between 0 and 1")
    if any(later <= earlier for earlier, later in pairwise(quantiles)):
        found.append("latency_quantiles must increase")
    names = Counter(metric.name for metric in analysis.measurements)
    found.extend(f"the measurement {name!r} is declared {times} times" for name, times in names.items() if times > 1)
    if "errors" in names:
        found.append("'errors' is the name of the built-in metric")
    if not (analysis.errors or quantiles or names):
        found.append("there is nothing to judge: no errors, no latency_quantiles and no measurements")
    return found


def observe(
    evidence: Evidence, analysis: Analysis, expected_share: float, canary: Counts, baseline: Counts
) -> Evidence:
    """With the counts of one more interval.

    `expected_share` is the canary's declared share of both arms' requests, .5 for an equal baseline. Intervals with
    the same one are pooled under the share that was really observed; evidence of different ones is multiplied, as
    each test is conditional on the past. Pooling is valid while error rates and weights do not change together, and
    only then: that is why another weight is another segment (Simpson's paradox).
    """
    segments = dict(evidence.segments)
    if analysis.errors:
        arms = (canary.requests, canary.incidents), (baseline.requests, baseline.incidents)
        segments["errors"] = grown(segments.get("errors", ()), expected_share, *arms)
    if not analysis.latency_quantiles:
        return structs.replace(evidence, segments=segments)
    slower_than = dict(evidence.slower_than)
    tolerated = buckets_within(analysis.latency_tolerance)
    for quantile in analysis.latency_quantiles:
        bucket = bucket_with(quantile, evidence.recent)
        if bucket is not None:
            name = _latency(quantile)
            arms = slower(canary.latency, bucket + tolerated), slower(baseline.latency, bucket)
            segments[name] = grown(segments.get(name, ()), expected_share, *arms)
            slower_than[name] = upper_bound(bucket)
    return Evidence(segments, latest(evidence.recent, baseline.latency), slower_than)


def measure(
    evidence: Evidence, analysis: Analysis, expected_share: float, metric: str, canary: Sample, baseline: Sample
) -> Evidence:
    """With what somebody else counted of a declared metric since their last report; other names change nothing."""
    if metric not in {declared.name for declared in analysis.measurements}:
        return evidence
    arms = (canary.total, canary.bad), (baseline.total, baseline.bad)
    segments = grown(evidence.segments.get(metric, ()), expected_share, *arms)
    return structs.replace(evidence, segments={**evidence.segments, metric: segments})


def judge(evidence: Evidence, analysis: Analysis) -> Judgement:
    """The verdict on what was seen so far, by an analysis without `faults`."""
    return _judgement(_tests(evidence.segments, evidence.slower_than, analysis), analysis)


def decide(evidence: Evidence, analysis: Analysis) -> Decision:
    """What `judge` decides, without the forecast, which is most of the work: for many verdicts at once."""
    return _decision(_tests(evidence.segments, evidence.slower_than, analysis), analysis)[0]


def recompute(tests: Sequence[Test], analysis: Analysis) -> Judgement:
    """The verdict again, from nothing but the counts that a recorded one carries."""
    segments = {test.metric: test.segments for test in tests}
    slower_than = {test.metric: test.slower_than for test in tests if test.slower_than is not None}
    return _judgement(_tests(segments, slower_than, analysis), analysis)


def policy_version(analysis: Analysis) -> str:
    """The rule of this code, and a hash of what was declared."""
    return f"{RULE} {sha256(msgspec.json.encode(analysis)).hexdigest()[:12]}"


def _rules(analysis: Analysis) -> tuple[_Rule, ...]:
    quantiles = analysis.latency_quantiles
    group = 1 / (analysis.errors + bool(quantiles) + len(analysis.measurements))
    ratio = analysis.harm_ratio
    errors = [_Rule("errors", group, ratio)] if analysis.errors else []
    latency = [_Rule(_latency(each), group / len(quantiles), _of_odds(ratio, 1 - each), each) for each in quantiles]
    return (*errors, *latency, *(_Rule(metric.name, group, ratio) for metric in analysis.measurements))


def _of_odds(ratio: float, rate: float) -> float:
    """The ratio of rates at which the odds of a slow answer are `ratio` times the baseline's: half of all answers are
    slower than the median, and twice as many can never be."""
    return ratio / (1 + (ratio - 1) * rate)


def _latency(quantile: float) -> str:
    return f"latency p{100 * quantile:g}"


def _tests(
    segments: Mapping[str, tuple[Segment, ...]], slower_than: Mapping[str, float], analysis: Analysis
) -> tuple[Test, ...]:
    return tuple(
        _test(rule, segments.get(rule.metric, ()), slower_than.get(rule.metric), analysis) for rule in _rules(analysis)
    )


def _test(rule: _Rule, segments: tuple[Segment, ...], slower_than: float | None, analysis: Analysis) -> Test:
    dispersed = 1.0 if rule.metric == "errors" else round(dispersion(segments), _DECIMALS)
    worse, harmless = weigh(list(map(tally, segments)), dispersed, rule.harm_ratio, analysis.negligible)
    return Test(rule.metric, segments, dispersed, _rounded(worse), _rounded(harmless), slower_than)


def _decision(tests: Sequence[Test], analysis: Analysis) -> tuple[Decision, float, float]:
    """With the two logarithms that it comes from."""
    worse = _rounded(log_mean([test.log_e_worse for test in tests], [rule.weight for rule in _rules(analysis)]))
    harmless = min(test.log_e_harmless for test in tests)
    if worse >= math.log(analysis.budget):
        return "roll_back", worse, harmless
    return ("promote" if harmless >= math.log(analysis.mistakes) else "undecided"), worse, harmless


def _judgement(tests: tuple[Test, ...], analysis: Analysis) -> Judgement:
    decision, worse, harmless = _decision(tests, analysis)
    needs = _needs(tests, analysis) if decision == "undecided" else 0
    return Judgement(decision, worse, harmless, needs, tests, policy_version(analysis))


def _needs(tests: Sequence[Test], analysis: Analysis) -> int | None:
    rules = _rules(analysis)
    share = next((test.segments[-1].expected_share for test in tests if test.segments), 0.5)
    if not 0 < share < 1:
        return None

    def decided(more: Floats) -> NDArray[np.bool_]:
        ahead = [
            weigh(_ahead(rule, test, share, more), test.dispersion, rule.harm_ratio, analysis.negligible)
            for rule, test in zip(rules, tests, strict=True)
        ]
        worse = log_mean([each for each, _ in ahead], [rule.weight for rule in rules])
        harmless = np.min([np.broadcast_to(each, more.shape) for _, each in ahead], axis=0)
        return (worse >= math.log(analysis.budget)) | (harmless >= math.log(analysis.mistakes))

    return first_reached(decided, _FORECAST)


def _ahead(rule: _Rule, test: Test, share: float, more: Floats) -> list[Tally]:
    """The counts after `more` requests on the canary, at the rates of all segments. Before there are any, no event
    is bad, and answers are as slow as the baseline's."""
    *before, last = test.segments or (Segment(share),)
    seen = test.total
    baseline_rate = _rate(seen.baseline_bad, seen.baseline_requests, 1 - rule.quantile if rule.quantile else 0.0)
    canary_rate = _rate(seen.canary_bad, seen.canary_requests, baseline_rate)
    baseline = more * (1 - share) / share
    ahead = Tally(
        last.canary_requests + more,
        last.canary_bad + more * canary_rate,
        last.baseline_requests + baseline,
        last.baseline_bad + baseline * baseline_rate,
    )
    return [*map(tally, before), ahead]


def _rate(bad: int, total: int, unknown: float) -> float:
    return bad / total if total else unknown


def _rounded(log_e: ArrayLike) -> float:
    return round(float(np.asarray(log_e)), _DECIMALS)
