"""Read model: deployments as a list, in detail, and as a timeline for people."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

from msgspec import Struct, structs

from domain import canary, deployment
from domain.measurement import Counts
from domain.stack import ReleaseSpec
from domain.strategy import Declared, declared, kind_of, name_of
from eventstore.envelope import Recorded
from projections.projection import Journal, Projection, Table, stream_id

Status = Literal["requested", "running", "rolling_back", "completed", "rolled_back", "failed"]


class StepRow(Struct, frozen=True):
    name: str
    state: Literal["running", "completed", "failed", "compensated", "skipped"]
    started_at: datetime
    ended_at: datetime | None = None
    detail: str = ""


class Verdict(Struct, frozen=True):
    """The last one of a canary. Evidence is the natural logarithm of the e-value; `needs` counts canary requests."""

    number: int
    step: str
    decision: canary.Decision
    reason: str
    at: datetime
    policy_version: str | None = None
    log_e_worse: float | None = None
    log_e_harmless: float | None = None
    needs: int | None = None


class Traffic(Struct, frozen=True):
    """What an arm has answered since the splitter began to count; `patterns` says which errors, and where."""

    requests: int
    errors: int
    incidents: int
    patterns: dict[str, int]


class Deployment(Struct, frozen=True, kw_only=True):
    """Durations are in seconds. `weights` are in percent, by role, while a canary has a part of the traffic."""

    id: str
    status: Status
    stack_id: str
    environment_id: str
    version: str
    target: str
    strategy: str
    strategy_declared: Declared
    instances: int = 1
    attempt: int = 1
    targets: list[str] = []
    weights: dict[str, int] = {}
    traffic: dict[str, Traffic] = {}
    """By role: the canary and its baseline."""
    verdict: Verdict | None = None
    previous_version: str | None
    step: str | None = None
    steps: list[StepRow] = []
    healthy: bool | None = None
    url: str | None = None
    reason: str | None = None
    cancelled: bool = False
    configuration: dict[str, str]
    release: ReleaseSpec
    requested_by: str
    requested_at: datetime
    started_at: datetime | None = None
    completed_at: datetime | None = None
    duration_seconds: float | None = None
    correlation_id: str
    stream_version: int
    position: int


class TimelineEntry(Struct, frozen=True):
    """One event, told to people."""

    id: str
    deployment_id: str
    version: int
    position: int
    time: datetime
    type: str
    summary: str
    actor: str


def fold(row: Deployment | None, event: Recorded, data: Any) -> Deployment | None:
    if isinstance(data, deployment.Requested):
        return _requested(event, data)
    if row is None:
        return None
    now = structs.replace(row, stream_version=event.version, position=event.position)
    match data:
        case deployment.StepStarted(step):
            return structs.replace(
                now,
                status="running",
                step=step,
                weights=row.weights if kind_of(step) == "canary" else {},
                started_at=row.started_at or event.time,
                steps=[*row.steps, StepRow(step, "running", event.time)],
            )
        case deployment.StepCompleted(step, detail):
            return structs.replace(now, steps=_ended(row, step, "completed", event.time, detail))
        case deployment.StepFailed(step, reason):
            return structs.replace(now, steps=_ended(row, step, "failed", event.time, reason), reason=reason)
        case deployment.StepCompensated(step, detail):
            return structs.replace(now, steps=_ended(row, step, "compensated", event.time, detail))
        case deployment.StepsSkipped(steps, reason):
            skipped = [StepRow(step, "skipped", event.time, event.time, reason) for step in steps]
            return structs.replace(now, steps=[*row.steps, *skipped])
        case deployment.AttemptStarted(number, target, reason):
            return structs.replace(
                now,
                attempt=number,
                target=target,
                step=None,
                healthy=None,
                weights={},
                traffic={},
                verdict=None,
                reason=reason,
            )
        case canary.TrafficShifted(_, weights):
            return structs.replace(now, weights=weights)
        case canary.Measured(_, _, mine, baseline):
            return structs.replace(now, traffic={"canary": _traffic(mine), "baseline": _traffic(baseline)})
        case canary.Judged():
            return structs.replace(now, verdict=_verdict(event, data))
        case deployment.HealthReported(healthy):
            return structs.replace(now, healthy=healthy)
        case deployment.CancellationRequested(reason):
            return structs.replace(now, cancelled=True, reason=reason)
        case deployment.RollbackStarted(reason):
            return structs.replace(now, status="rolling_back", weights={}, reason=reason)
        case deployment.Completed(_, url):
            return structs.replace(_over(now, event, "completed"), url=url, reason=None)
        case deployment.RolledBack():
            return _over(now, event, "rolled_back")
        case deployment.Failed():
            return _over(now, event, "failed")
        case _:
            return now


def _requested(event: Recorded, data: deployment.Requested) -> Deployment:
    return Deployment(
        id=event.stream.id,
        status="requested",
        stack_id=data.stack_id,
        environment_id=data.environment_id,
        version=data.version,
        target=data.target.name,
        targets=[target.name for target in (data.target, *data.fallbacks)],
        strategy=name_of(data.strategy),
        strategy_declared=declared(data.strategy),
        instances=data.instances,
        previous_version=data.previous.version if data.previous else None,
        configuration=data.release.environment,
        release=data.release,
        requested_by=event.envelope.actor,
        requested_at=event.time,
        correlation_id=event.envelope.correlationid,
        stream_version=event.version,
        position=event.position,
    )


def _ended(
    row: Deployment, step: str, state: Literal["completed", "failed", "compensated"], time: datetime, detail: str
) -> list[StepRow]:
    last = max((number for number, each in enumerate(row.steps) if each.name == step), default=None)
    return [
        structs.replace(each, state=state, ended_at=time, detail=detail) if number == last else each
        for number, each in enumerate(row.steps)
    ]


def _verdict(event: Recorded, judged: canary.Judged) -> Verdict:
    verdict = Verdict(judged.number, judged.step, judged.decision, judged.reason, event.time)
    if judged.judgement is None:
        return verdict
    return structs.replace(
        verdict,
        policy_version=judged.judgement.policy_version,
        log_e_worse=judged.judgement.log_e_worse,
        log_e_harmless=judged.judgement.log_e_harmless,
        needs=judged.judgement.needs,
    )


def _traffic(counts: Counts) -> Traffic:
    return Traffic(counts.requests, counts.errors, counts.incidents, counts.patterns)


def _over(row: Deployment, event: Recorded, status: Status) -> Deployment:
    seconds = (event.time - row.requested_at).total_seconds()
    return structs.replace(row, status=status, step=None, weights={}, completed_at=event.time, duration_seconds=seconds)


def tell(event: Recorded, data: Any) -> list[TimelineEntry]:
    if isinstance(data, canary.Measured | canary.MetricMeasured):
        return []  # the verdict that follows tells what they mean
    deployment_id = stream_id(event, data)
    entry = TimelineEntry(
        f"{deployment_id}/{event.version}",
        deployment_id,
        event.version,
        event.position,
        event.time,
        event.type,
        summary(data),
        event.envelope.actor,
    )
    return [entry]


def summary(data: deployment.Event) -> str:
    """The event in a sentence."""
    match data:
        case deployment.Requested(stack_id, environment_id, version):
            return f"version {version} of {stack_id} is to run in {environment_id}"
        case deployment.CancellationRequested(reason):
            return f"cancellation requested: {reason or 'no reason given'}"
        case deployment.StepStarted(step):
            return f"{step} …"
        case deployment.StepCompleted(step, detail):
            return f"{step} done: {detail}"
        case deployment.StepFailed(step, reason):
            return f"{step} failed: {reason}"
        case deployment.HealthReported(healthy, detail):
            return f"{'healthy' if healthy else 'unhealthy'}: {detail}"
        case deployment.StepsSkipped(steps, reason):
            return f"not needed any more: {', '.join(steps)}: {reason}"
        case deployment.AttemptStarted(number, target, reason):
            return f"attempt {number}, on {target}: {reason}"
        case canary.TrafficShifted(_, weights):
            return "traffic: " + ", ".join(f"{weight} % {role}" for role, weight in weights.items())
        case canary.Measured() | canary.MetricMeasured():
            return "measured"
        case canary.Judged(_, _, decision, reason):
            return f"{decision.replace('_', ' ')}: {reason}"
        case canary.Approved(step, reason):
            return f"{step} approved{f': {reason}' if reason else ''}"
        case canary.Promoted(step, reason):
            return f"promoted at {step}{f': {reason}' if reason else ''}"
        case deployment.RollbackStarted(reason):
            return f"rolling back: {reason}"
        case deployment.StepCompensated(step, detail):
            return f"{step} undone: {detail}"
        case deployment.Completed(version, url):
            return f"completed: version {version} answers at {url}"
        case deployment.RolledBack(reason, restored):
            return f"rolled back to {f'version {restored.version}' if restored else 'nothing, as before'}: {reason}"
        case deployment.Failed(reason, waived):
            return f"failed: {reason}; given up: {', '.join(waived)}"


deployments = Projection(
    "deployments",
    frozenset({"deployment"}),
    (
        Table(
            "deployments",
            Deployment,
            stream_id,
            fold,
            filters=(
                "status",
                "stack_id",
                "environment_id",
                "version",
                "requested_by",
                "correlation_id",
                "requested_at",
            ),
        ),
        Journal("timeline", TimelineEntry, tell, filters=("deployment_id",)),
    ),
)
