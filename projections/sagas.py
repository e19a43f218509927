"""Read model: sagas with their effects; what is paused and what is open shows here."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

from msgspec import Struct, structs

from domain import saga
from eventstore.envelope import Recorded
from projections.projection import Projection, Table, stream_id

Status = Literal["running", "paused", "compensating", "completed", "compensated"]


class Saga(Struct, frozen=True, kw_only=True):
    id: str
    kind: str
    subject: str
    status: Status = "running"
    step: str | None = None
    completed_steps: list[str] = []
    attempts: int = 0
    attempt: int = 1
    effects: list[saga.Effect] = []
    open_effects: int = 0
    compensating: bool = False
    delivered: bool = False
    """The outcome is told; what earlier attempts have left is still being undone."""
    reason: str | None = None
    """Why it is paused or compensating."""
    started_at: datetime
    ended_at: datetime | None = None
    correlation_id: str
    version: int
    position: int


def fold(row: Saga | None, event: Recorded, data: Any) -> Saga | None:
    match data:
        case saga.Started(kind, subject):
            return Saga(
                id=event.stream.id,
                kind=kind,
                subject=subject,
                started_at=event.time,
                correlation_id=event.envelope.correlationid,
                version=event.version,
                position=event.position,
            )
        case _ if row is None:
            return None
        case _:
            now = _change(row, event, data)
            opened = sum(effect.status in saga.OPEN for effect in now.effects)
            return structs.replace(now, open_effects=opened, version=event.version, position=event.position)


def _change(row: Saga, event: Recorded, data: saga.Event) -> Saga:
    match data:
        case saga.StepStarted(step):
            return structs.replace(row, step=step, attempts=0)
        case saga.StepCompleted(step):
            return structs.replace(row, step=None, completed_steps=[*row.completed_steps, step])
        case saga.StepRetried(_, attempt):
            return structs.replace(row, attempts=attempt)
        case saga.StepFailed(_, reason) | saga.CompensationFailed(_, reason):
            return structs.replace(row, reason=reason)
        case saga.EffectPlanned(name, step, operation, undo, attempt):
            planned = saga.Effect(name, step, operation, undo, attempt=attempt)
            return structs.replace(row, effects=[*row.effects, planned])
        case saga.AttemptStarted(number, _, _, reason):
            return structs.replace(row, attempt=number, step=None, completed_steps=[], attempts=0, reason=reason)
        case saga.Delivered():
            return structs.replace(row, delivered=True, attempts=0)
        case saga.EffectKept(name, result):
            return _mark(row, name, "kept", result)
        case saga.EffectUnknown(name):
            return _mark(row, name, "unknown")
        case saga.EffectUndone(name):
            return _mark(row, name, "undone")
        case saga.EffectWaived(name):
            return _mark(row, name, "waived")
        case saga.CompensationStarted(reason):
            return structs.replace(row, status="compensating", compensating=True, step=None, reason=reason)
        case saga.Paused(reason):
            return structs.replace(row, status="paused", reason=reason)
        case saga.Resumed():
            return structs.replace(row, status="compensating" if row.compensating else "running")
        case saga.Completed():
            return structs.replace(row, status="completed", ended_at=event.time, reason=None)
        case saga.Compensated():
            return structs.replace(row, status="compensated", ended_at=event.time)
        case saga.Started() | saga.StepsSkipped() | saga.VerdictHeard():
            return row


def _mark(row: Saga, name: str, status: saga.EffectStatus, result: str | None = None) -> Saga:
    effects = [
        structs.replace(each, status=status, result=each.result if result is None else result)
        if each.key == name
        else each
        for each in row.effects
    ]
    return structs.replace(row, effects=effects)


sagas = Projection(
    "sagas",
    frozenset({"saga"}),
    (Table("sagas", Saga, stream_id, fold, filters=("status", "kind", "subject", "correlation_id", "started_at")),),
)
