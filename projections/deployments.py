"""Read model: deployments as a list, in detail, and as a timeline for people."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

from msgspec import Struct, structs

from domain import deployment
from domain.stack import ReleaseSpec
from eventstore.envelope import Recorded
from projections.projection import Projection, Table, stream_id

Status = Literal["requested", "running", "rolling_back", "completed", "rolled_back", "failed"]


class StepRow(Struct, frozen=True):
    name: str
    state: Literal["running", "completed", "failed", "compensated"]
    started_at: datetime
    ended_at: datetime | None = None
    detail: str = ""


class Deployment(Struct, frozen=True, kw_only=True):
    """Durations are in seconds."""

    id: str
    status: Status
    stack_id: str
    environment_id: str
    version: str
    target: str
    strategy: str
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
                started_at=row.started_at or event.time,
                steps=[*row.steps, StepRow(step, "running", event.time)],
            )
        case deployment.StepCompleted(step, detail):
            return structs.replace(now, steps=_ended(row, step, "completed", event.time, detail))
        case deployment.StepFailed(step, reason):
            return structs.replace(now, steps=_ended(row, step, "failed", event.time, reason), reason=reason)
        case deployment.StepCompensated(step, detail):
            return structs.replace(now, steps=_ended(row, step, "compensated", event.time, detail))
        case deployment.HealthReported(healthy):
            return structs.replace(now, healthy=healthy)
        case deployment.CancellationRequested(reason):
            return structs.replace(now, cancelled=True, reason=reason)
        case deployment.RollbackStarted(reason):
            return structs.replace(now, status="rolling_back", reason=reason)
        case deployment.Completed(_, url):
            return structs.replace(_over(now, event, "completed"), url=url)
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
        strategy=data.strategy,
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
    return [
        structs.replace(each, state=state, ended_at=time, detail=detail) if each.name == step else each
        for each in row.steps
    ]


def _over(row: Deployment, event: Recorded, status: Status) -> Deployment:
    seconds = (event.time - row.requested_at).total_seconds()
    return structs.replace(row, status=status, step=None, completed_at=event.time, duration_seconds=seconds)


def timeline_key(event: Recorded, data: Any) -> str:
    return f"{stream_id(event, data)}/{event.version}"


def tell(row: TimelineEntry | None, event: Recorded, data: Any) -> TimelineEntry:
    deployment_id = stream_id(event, data)
    return TimelineEntry(
        f"{deployment_id}/{event.version}",
        deployment_id,
        event.version,
        event.position,
        event.time,
        event.type,
        summary(data),
        event.envelope.actor,
    )


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
        Table("timeline", TimelineEntry, timeline_key, tell, filters=("deployment_id",), append_only=True),
    ),
)
