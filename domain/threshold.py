"""The rule that peers document: a fixed limit, checked once an interval, and so many failed checks are too many.

Nobody is advised to use it; it is here so that recorded canaries can be judged by it (`domain.counterfactual`).
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from msgspec import Meta, Struct, structs

from domain.measurement import Counts, bucket_of, total
from domain.segments import slower


class Threshold(Struct, frozen=True, forbid_unknown_fields=True):
    """A check fails when, of an interval's answers of the canary, more than `max_error_rate` are errors, or more than
    1 - `latency_quantile` took longer than `max_latency` seconds (to 9 %, the width of a bucket).

    More than `failure_limit` failed checks in all roll the canary back. An interval lasts for at least `interval`
    seconds and `interval_requests` requests to the canary; no check before there were `min_requests` in all. The
    canary is promoted when `count` checks are done; None: when the last step is over.

    Argo Rollouts has `interval`, `count` and `failureLimit` (a run fails when failures exceed it), `initialDelay` for
    `min_requests`. Flagger's `threshold: 5` rolls back at the fifth failed check: that is a `failure_limit` of 4.
    """

    max_error_rate: Annotated[float, Meta(ge=0, lt=1)] | None = None
    max_latency: Annotated[float, Meta(gt=0, le=100)] | None = None
    latency_quantile: Annotated[float, Meta(gt=0, lt=1)] = 0.99
    failure_limit: Annotated[int, Meta(ge=0, le=10_000)] = 0
    interval: Annotated[float, Meta(ge=0, le=86_400)] = 0.0
    interval_requests: Annotated[int, Meta(ge=1, le=1_000_000_000)] = 1
    min_requests: Annotated[int, Meta(ge=0, le=1_000_000_000)] = 0
    count: Annotated[int, Meta(ge=1, le=1_000_000)] | None = None


class Checks(Struct, frozen=True):
    """`pending` is of the interval that began at `begun`; `requests` to the canary are of all intervals."""

    begun: datetime
    pending: Counts = Counts()
    requests: int = 0
    done: int = 0
    failed: int = 0


def faults(rule: Threshold) -> list[str]:
    """What contradicts itself in a declared rule; empty: nothing."""
    nothing = rule.max_error_rate is None and rule.max_latency is None
    return ["there is nothing to judge: no max_error_rate and no max_latency"] if nothing else []


def check(checks: Checks, rule: Threshold, canary: Counts, at: datetime) -> Checks:
    """With what the canary answered since the last look; a check is made when that ends the interval."""
    pending = total((checks.pending, canary))
    seen = structs.replace(checks, pending=pending, requests=checks.requests + canary.requests)
    early = (at - checks.begun).total_seconds() < rule.interval
    if early or pending.requests < rule.interval_requests or seen.requests < rule.min_requests:
        return seen
    return structs.replace(
        seen, begun=at, pending=Counts(), done=seen.done + 1, failed=seen.failed + _fails(rule, pending)
    )


def judge(checks: Checks, rule: Threshold) -> Literal["roll_back", "promote", "undecided"]:
    """`promote` only by `count`: of the steps it knows nothing."""
    if checks.failed > rule.failure_limit:
        return "roll_back"
    return "promote" if rule.count is not None and checks.done >= rule.count else "undecided"


def _fails(rule: Threshold, counts: Counts) -> bool:
    if rule.max_error_rate is not None and counts.errors > rule.max_error_rate * counts.requests:
        return True
    if rule.max_latency is None:
        return False
    answers, slow = slower(counts.latency, bucket_of(rule.max_latency))
    return answers - slow < rule.latency_quantile * answers
