"""A canary under way: what is measured, what it proves so far, and whether the traffic may grow.

Every look is a measurement and a verdict, both on the record. A verdict carries everything it was computed from, so
that anybody can compute it again; measurements are kept apart from it, so that another policy can judge them.
"""

from __future__ import annotations

import math
from datetime import datetime, timedelta
from typing import Annotated, Literal

from msgspec import Meta, Struct, structs

from domain.analysis import Evidence, Judgement, MetricName, Test, judge, measure, observe
from domain.decider import Refusal
from domain.measurement import Counts, Sample, since
from domain.strategy import Canary, CanaryStep

Reason = Annotated[str, Meta(max_length=1000)]
Decision = Literal["continue", "advance", "await_approval", "inconclusive", "promote", "roll_back"]
"""`inconclusive`: the last step is over, and the evidence proves neither harm nor its absence."""


class Pair(Struct, frozen=True, forbid_unknown_fields=True):
    """One metric of both arms at the same time."""

    canary: Sample
    baseline: Sample


class Approve(Struct, frozen=True, forbid_unknown_fields=True, tag="deployment.approve"):
    """Open the gate at which the canary waits."""

    reason: Reason = ""


class Promote(Struct, frozen=True, forbid_unknown_fields=True, tag="deployment.promote"):
    """Skip the rest of the canary, or of the time that the old release is kept: a person answers for it."""

    reason: Reason = ""


class RecordMeasurement(Struct, frozen=True, forbid_unknown_fields=True, tag="deployment.record_measurement"):
    """Counts of a metric that the request names, of requests or answers since the last such measurement."""

    metric: MetricName
    canary: Sample
    baseline: Sample


class ShiftTraffic(Struct, frozen=True, tag="deployment.shift_traffic"):
    """The traffic is split by these weights (in percent) from now on."""

    step: str
    weights: dict[str, int]
    at: datetime


class Look(Struct, frozen=True, tag="deployment.look"):
    """Counts since `epoch` from the splitter, and of other metrics since they began to count."""

    at: datetime
    epoch: str
    canary: Counts
    baseline: Counts
    counters: dict[str, Pair] = {}


# Event tags are storage: never rename one that has been written.
class TrafficShifted(Struct, frozen=True, tag="deployment.traffic_shifted"):
    step: str
    weights: dict[str, int]
    at: datetime


class Measured(Struct, frozen=True, tag="deployment.measured"):
    """What the splitter had counted by then, since `epoch`; another epoch began at zero."""

    at: datetime
    epoch: str
    canary: Counts
    baseline: Counts


class MetricMeasured(Struct, frozen=True, tag="deployment.metric_measured"):
    """Since the last one; `counter` is what the source itself showed, if it counts for ever."""

    metric: str
    canary: Sample
    baseline: Sample
    counter: Pair | None = None


class Judged(Struct, frozen=True, tag="deployment.judged"):
    """`judgement` None: there is no analysis, only time and people."""

    number: int
    step: str
    decision: Decision
    reason: str
    judgement: Judgement | None


class Approved(Struct, frozen=True, tag="deployment.approved"):
    step: str
    reason: str


class Promoted(Struct, frozen=True, tag="deployment.promoted"):
    step: str
    reason: str


class Watch(Struct, frozen=True):
    """`step` counts from 0; `since` is when its weights came into force, `requests` the canary's since then.

    `number` is that of the last verdict. `last` is the last reading of the splitter, `counters` of other sources.
    `over` is when the step was over with nothing decided, `said` what a person has said of it.
    """

    step: int
    since: datetime
    requests: int = 0
    number: int = 0
    decision: Decision = "continue"
    evidence: Evidence = Evidence()
    last: Measured | None = None
    counters: dict[str, Pair] = {}
    over: datetime | None = None
    said: Literal["approved", "promoted"] | None = None

    @property
    def name(self) -> str:
        """Of the step."""
        return f"canary-{self.step + 1}"


Command = Approve | Promote | RecordMeasurement | ShiftTraffic | Look
Event = TrafficShifted | Measured | MetricMeasured | Judged | Approved | Promoted


def decide(command: Command, canary: Canary, watch: Watch | None) -> tuple[Event, ...] | Refusal:
    match command, watch:
        case ShiftTraffic(step, weights, at), _:
            return (TrafficShifted(step, weights, at),)
        case _, None:
            return Refusal("canary_not_watched", "the canary has no traffic now")
        case Look(), Watch():
            return _look(command, canary, watch)
        case RecordMeasurement(metric, of_canary, of_baseline), Watch():
            if metric not in _published(canary):
                named = ", ".join(_published(canary)) or "none"
                return Refusal("metric_not_declared", f"no measurements of {metric} are expected, but of: {named}")
            faults = [
                name for name, each in (("canary", of_canary), ("baseline", of_baseline)) if each.bad > each.total
            ]
            if faults:
                return Refusal("measurement_impossible", f"more bad than in all: {', '.join(faults)}")
            return _with_verdict(canary, watch, (MetricMeasured(metric, of_canary, of_baseline),), None)
        case Approve(reason), Watch():
            if watch.decision != "await_approval":
                return Refusal("approval_not_awaited", f"the canary does not wait at a gate: {watch.decision}")
            return _by_person(canary, watch, Approved(watch.name, reason))
        case Promote(reason), Watch():
            return _by_person(canary, watch, Promoted(watch.name, reason))


def _look(command: Look, canary: Canary, watch: Watch) -> tuple[Event, ...]:
    measured = Measured(command.at, command.epoch, command.canary, command.baseline)
    metrics = (
        MetricMeasured(name, *_grown(now, before), now)
        for name, now in sorted(command.counters.items())
        if (before := watch.counters.get(name)) is not None
    )
    begun = (
        MetricMeasured(name, Sample(0, 0), Sample(0, 0), now)
        for name, now in sorted(command.counters.items())
        if name not in watch.counters
    )
    return _with_verdict(canary, watch, (measured, *begun, *metrics), command.at)


def _grown(now: Pair, before: Pair) -> tuple[Sample, Sample]:
    """A counter that shows less than before has begun anew, or a part of it is gone: nothing is known of this time,
    on neither arm, for a spike that only one of them has counted would look like a difference."""
    arms = (now.canary, before.canary), (now.baseline, before.baseline)
    if any(after.total < earlier.total or after.bad < earlier.bad for after, earlier in arms):
        return Sample(0, 0), Sample(0, 0)
    canary, baseline = (Sample(after.total - earlier.total, after.bad - earlier.bad) for after, earlier in arms)
    return canary, baseline


def _with_verdict(
    canary: Canary, watch: Watch, measured: tuple[Measured | MetricMeasured, ...], at: datetime | None
) -> tuple[Event, ...]:
    seen = watch
    for event in measured:
        seen = evolve(seen, event, canary)
    judgement = _judgement(canary, seen)
    decision, reason = _progress(canary, seen, at, judgement)
    return *measured, Judged(seen.number + 1, seen.name, decision, reason, judgement)


def _judgement(canary: Canary, watch: Watch) -> Judgement | None:
    return judge(watch.evidence, canary.analysis) if canary.analysis else None


def _by_person(canary: Canary, watch: Watch, said: Approved | Promoted) -> tuple[Event, ...]:
    seen = evolve(watch, said, canary)
    decision, what = _granted(canary, seen), f"{seen.said} by a person"
    why = f"{what}: {said.reason}" if said.reason else what
    return said, Judged(seen.number + 1, seen.name, decision, why, _judgement(canary, seen))


def _granted(canary: Canary, watch: Watch) -> Decision:
    """What follows from a person's word."""
    last = watch.step == len(canary.steps) - 1
    return "promote" if last or watch.said == "promoted" else "advance"


def _progress(canary: Canary, watch: Watch, at: datetime | None, judgement: Judgement | None) -> tuple[Decision, str]:
    """`at` None: nothing is known of the time, so only the evidence can decide."""
    gates = any(step.gate for step in canary.steps[watch.step :])
    if judgement is not None and judgement.decision == "roll_back":
        return "roll_back", in_words(judgement)
    if watch.said is not None:
        return _granted(canary, watch), f"{watch.said} by a person"
    if judgement is not None and judgement.decision == "promote" and not gates:
        return "promote", in_words(judgement)
    if at is None:
        kept = watch.decision in ("await_approval", "inconclusive")
        return watch.decision if kept else "continue", "" if judgement is None else in_words(judgement)
    waiting = _waiting(canary.steps[watch.step], watch, at)
    if waiting:
        return "continue", waiting
    return _over(canary, watch, at, judgement)


def _waiting(step: CanaryStep, watch: Watch, at: datetime) -> str:
    """Why the step is not over; empty when it is."""
    left = (watch.since + timedelta(seconds=step.pause) - at).total_seconds()
    if left > 0:
        return f"{step.weight} % for {math.ceil(left)} s more"
    if watch.requests < step.requests:
        return f"{step.weight} % until {step.requests - watch.requests} more requests"
    return ""


def _over(canary: Canary, watch: Watch, at: datetime, judgement: Judgement | None) -> tuple[Decision, str]:
    step = canary.steps[watch.step]
    if step.gate:
        return "await_approval", f"the gate at {step.weight} %"
    if watch.step < len(canary.steps) - 1:
        following = canary.steps[watch.step + 1].weight
        return "advance", f"nothing speaks against {following} %"
    why = in_words(judgement) if judgement else ""
    if at < (watch.over or at) + timedelta(seconds=canary.patience):
        return "inconclusive", why
    if canary.on_inconclusive == "ask":
        return "await_approval", why
    return "roll_back", f"still inconclusive after {canary.patience:g} s: {why}"


def in_words(judgement: Judgement) -> str:
    """A verdict for people. Odds are the e-value: how often one must have been lucky to see this by chance."""
    match judgement.decision:
        case "roll_back":
            worst = judgement.worst
            return f"worse in {worst.metric}: {_counts(worst)}; evidence {_odds(judgement.log_e_worse)}"
        case "promote":
            return f"does no harm: evidence {_odds(judgement.log_e_harmless)}"
        case "undecided" if not any(test.total.canary_requests for test in judgement.tests):
            return "undecided: the canary has answered nothing yet that it could be judged by"
        case "undecided" if judgement.needs is None:
            worse, harmless = _odds(judgement.log_e_worse), _odds(judgement.log_e_harmless)
            return f"undecided: evidence of harm {worse}, of none {harmless}"
        case "undecided":
            return f"undecided: about {judgement.needs} more requests to the canary are needed"


def _counts(test: Test) -> str:
    """`15 of 292, beside 0 of 291`."""
    seen = test.total
    return f"{seen.canary_bad} of {seen.canary_requests}, beside {seen.baseline_bad} of {seen.baseline_requests}"


def _odds(log_e: float) -> str:
    return f"{math.exp(min(log_e, 30)):.3g} to 1"


def _published(canary: Canary) -> tuple[str, ...]:
    """Metrics that nobody is asked for: a metric from two sources would be counted twice."""
    metrics = canary.analysis.measurements if canary.analysis else ()
    return tuple(metric.name for metric in metrics if metric.prometheus is None)


def evolve(watch: Watch | None, event: Event, canary: Canary) -> Watch:
    """Raises ValueError for anything before the first shift: no decider writes that."""
    match event, watch:
        case TrafficShifted(step, _, at), None:
            return Watch(_index(step), at)
        case TrafficShifted(step, _, at), Watch():
            begun = Watch(_index(step), at)
            return structs.replace(
                begun, number=watch.number, evidence=watch.evidence, last=watch.last, counters=watch.counters
            )
        case _, None:
            raise ValueError("measured before there was traffic")
        case Measured(), Watch():
            return _measured(watch, event, canary)
        case MetricMeasured(metric, of_canary, of_baseline, counter), Watch():
            counters = watch.counters if counter is None else {**watch.counters, metric: counter}
            evidence = _with_metric(watch, canary, metric, of_canary, of_baseline)
            return structs.replace(watch, counters=counters, evidence=evidence)
        case Judged(number, _, decision), Watch():
            over = watch.last.at if decision == "inconclusive" and watch.last else None
            return structs.replace(watch, number=number, decision=decision, over=watch.over or over)
        case Approved(), Watch():
            return structs.replace(watch, said="approved")
        case Promoted(), Watch():
            return structs.replace(watch, said="promoted")


def _measured(watch: Watch, now: Measured, canary: Canary) -> Watch:
    before = watch.last
    if before is None and canary.baseline == "stable":
        # What the old release had answered before is no part of the comparison.
        return structs.replace(watch, last=now)
    of_canary, of_baseline = answered(before, now)
    evidence = watch.evidence
    if canary.analysis is not None:
        evidence = observe(evidence, canary.analysis, canary.share(watch.step), of_canary, of_baseline)
    return structs.replace(watch, last=now, requests=watch.requests + of_canary.requests, evidence=evidence)


def answered(before: Measured | None, now: Measured) -> tuple[Counts, Counts]:
    """By canary and baseline between two readings; before the first, and in another epoch, it began at zero."""
    if before is None or before.epoch != now.epoch:
        return now.canary, now.baseline
    return since(now.canary, before.canary), since(now.baseline, before.baseline)


def _with_metric(watch: Watch, canary: Canary, metric: str, of_canary: Sample, of_baseline: Sample) -> Evidence:
    if canary.analysis is None:
        return watch.evidence
    return measure(watch.evidence, canary.analysis, canary.share(watch.step), metric, of_canary, of_baseline)


def _index(step: str) -> int:
    return int(step.rpartition("-")[2]) - 1
