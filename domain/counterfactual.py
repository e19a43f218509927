"""Recorded canaries judged again, look by look, under another policy: what would have come of them?

Nothing is simulated. The decider is given the recorded commands again, with the other policy in the place of the
recorded one. Until one of the two policies decides, both canaries are the same: steps go on by time, by requests and
by what people said, and those are taken as they were. So a decision of the other policy within the data is exact. A
recorded decision ends the data: what the other policy had not decided by then is unknown, and the requests until then
are a lower bound of those that it would have exposed.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Literal

from msgspec import structs

from domain import canary, deployment, threshold
from domain.analysis import Analysis
from domain.canary import Approve, Judged, Promote, Watch
from domain.decider import Refusal
from domain.rejudged import Recorded, Rejudged, Replayed
from domain.strategy import Canary, CanaryStep
from domain.threshold import Checks, Threshold
from domain.turns import Course, Turn, courses, difference

Policy = Analysis | Threshold
Decision = Literal["roll_back", "promote"]


def rejudge(deployment_id: str, events: Iterable[deployment.Event], policy: Policy | None) -> list[Rejudged]:
    """Each canary of a deployment; `policy` None: the one that it was recorded with.

    Raises ValueError for verdicts that follow from nothing on record.
    """
    return [_rejudged(deployment_id, course, policy) for course in courses(events)]


def _rejudged(deployment_id: str, course: Course, policy: Policy | None) -> Rejudged:
    recorded, data = _recorded(course)
    if policy is None or policy == course.strategy.analysis:
        found = difference(course)
        replayed = _replayed(recorded, data, course.strategy, None) if found else _again(recorded)
        return Rejudged(deployment_id, course.attempt, recorded, replayed, found is None, found)
    rule = policy if isinstance(policy, Threshold) else None
    analysis = None if isinstance(policy, Threshold) else policy
    missing = _missing(course.strategy.analysis, analysis)
    if missing:
        replayed = Replayed("unknown", 0, 0, why=f"not measured then: {', '.join(missing)}")
    else:
        replayed = _replayed(recorded, data, structs.replace(course.strategy, analysis=analysis), rule)
    return Rejudged(deployment_id, course.attempt, recorded, replayed)


def _recorded(course: Course) -> tuple[Recorded, Sequence[Turn]]:
    """Also the turns that are data: what came after a decision was measured while the traffic was taken away."""
    look = 0
    for number, turn in enumerate(course.turns, 1):
        look = turn.verdict.number if turn.verdict else look
        decided = _decision(turn.verdict)
        if decided is not None:
            return Recorded(decided, look, turn.requests, _by(turn)), course.turns[:number]
    requests = course.turns[-1].requests
    return Recorded("interrupted" if course.ended else "under_way", look, requests), course.turns


def _decision(verdict: Judged | None) -> Decision | None:
    match verdict:
        case Judged(_, _, "roll_back" | "promote" as decision):
            return decision
        case Judged() | None:
            return None


def _by(turn: Turn) -> Literal["policy", "person"]:
    return "person" if isinstance(turn.command, Approve | Promote) else "policy"


def _again(recorded: Recorded) -> Replayed:
    """The same verdicts end the same way."""
    match recorded.outcome:
        case "roll_back" | "promote" as decision:
            return Replayed(decision, recorded.look, recorded.requests, recorded.by)
        case "interrupted" | "under_way":
            return _undecided(recorded)


def _missing(recorded: Analysis | None, policy: Analysis | None) -> list[str]:
    """Metrics that the policy needs and nobody measured, or measured from another source."""
    there = {metric.name: metric.prometheus for metric in recorded.measurements} if recorded else {}
    wanted = policy.measurements if policy else ()
    return [
        metric.name
        for metric in wanted
        if metric.name not in there or metric.prometheus not in (None, there[metric.name])
    ]


def _replayed(recorded: Recorded, data: Sequence[Turn], strategy: Canary, rule: Threshold | None) -> Replayed:
    """`rule` decides in place of the strategy's analysis; time, requests and people still move its steps."""
    watch: Watch | None = None
    checks: Checks | None = None
    for turn in data:
        again = canary.decide(turn.command, strategy, watch)
        if isinstance(again, Refusal):
            continue  # a measurement of a metric that this policy does not know
        for event in again:
            watch = canary.evolve(watch, event, strategy)
        verdict = again[-1]
        if watch is None or turn.verdict is None or not isinstance(verdict, Judged):
            continue
        decision = _decision(verdict)
        if rule is not None:
            at = watch.last.at if watch.last else watch.since
            checks = threshold.check(checks or Checks(watch.since), rule, turn.answered, at)
            decision = _by_rule(rule, checks, verdict, strategy.steps[watch.step :])
        if decision is not None:
            return Replayed(decision, turn.verdict.number, turn.requests, _by(turn))
    return _undecided(recorded)


def _by_rule(rule: Threshold, checks: Checks, verdict: Judged, left: Sequence[CanaryStep]) -> Decision | None:
    """`verdict` is that of time and people alone, `left` are this step and all that follow."""
    judged = threshold.judge(checks, rule)
    if judged == "roll_back" or verdict.decision == "promote":
        return "roll_back" if judged == "roll_back" else "promote"
    if any(step.gate for step in left):
        return None
    over = verdict.decision not in ("continue", "advance") if rule.count is None else judged == "promote"
    return "promote" if over else None


def _undecided(recorded: Recorded) -> Replayed:
    """Where the data end. What interrupted the one would have interrupted the other."""
    match recorded.outcome:
        case "interrupted":
            return Replayed("interrupted", recorded.look, recorded.requests)
        case "under_way":
            return Replayed("unknown", recorded.look, recorded.requests, why="under way")
        case "roll_back" | "promote":
            return Replayed("unknown", recorded.look, recorded.requests, why="the data end with the recorded decision")
