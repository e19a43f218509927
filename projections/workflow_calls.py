"""Calls of skills and of sub-workflows, one row each: who was asked for what, by which step, and what came of it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any, Final, Literal

import asyncpg
import msgspec
from msgspec import Struct, structs

from domain import workflow
from domain.workflow import FailureKind, Routed, Value
from eventstore.envelope import Recorded
from projections.projection import Table
from projections.rows import row_of

LARGEST_SHOWN: Final = 4 * 1024
"""Bytes of JSON in a row; of what is larger the row says the size, and where it is."""

CallStatus = Literal["requested", "leased", "retrying", "parked", "succeeded", "failed", "cancelled", "waived"]
"""`parked` is a dead letter; `waived`: what it should have undone is answered for by a person."""


class Invocation(Struct, frozen=True, kw_only=True):
    """`step` of the `run`, `item` of its list (None: it has none). `input` and `output` are shortened to their size
    where they are large; `requested_in` and `ended_in` are versions of the run's history, where they stand whole.
    `failure` is the kind of the last attempt that failed, also where a later one succeeded.
    `seconds` are those of the work in all attempts, `attempt_seconds` of the last one; `failures` and `timeouts` count
    attempts. `undo` names the call whose effect it takes back, `undone_by` the one that takes back its own;
    `instead_of` and `fallback` do so for a call that failed and the one that came instead."""

    id: str
    run: str
    step: str
    item: int | None = None
    kind: Literal["skill", "workflow"] = "skill"
    skill: str
    skill_version: str
    status: CallStatus = "requested"
    attempt: int = 1
    worker: str | None = None
    progress: float | None = None
    note: str | None = None
    input: Value
    output: Value | None = None
    failure: FailureKind | None = None
    reason: str | None = None
    cost: float = 0.0
    seconds: float = 0.0
    attempt_seconds: float | None = None
    attempts: int = 0
    failures: int = 0
    timeouts: int = 0
    retried: int = 0
    requested_at: datetime
    leased_at: datetime | None = None
    deadline: datetime | None = None
    retry_at: datetime | None = None
    ended_at: datetime | None = None
    routed: Routed | None = None
    undo: str | None = None
    undone_by: str | None = None
    instead_of: str | None = None
    fallback: str | None = None
    exchanges: list[str] = []
    actor: str
    correlation_id: str
    requested_in: int
    ended_in: int | None = None
    position: int


OfCall = (
    workflow.Leased
    | workflow.Progressed
    | workflow.Succeeded
    | workflow.Failed
    | workflow.Reattempted
    | workflow.Parked
    | workflow.Retried
    | workflow.GivenUp
    | workflow.CallCancelled
)


def key(event: Recorded, data: Any) -> str | Mapping[str, Any] | None:
    if isinstance(data, workflow.Requested):
        return {each: data for each in (data.call, data.undo, data.instead_of) if each is not None}
    return data.call if isinstance(data, OfCall) else None


def fold(row: Invocation | None, event: Recorded, data: workflow.Requested | OfCall) -> Invocation | None:
    if isinstance(data, workflow.Requested):
        return _requested(event, data) if row is None else _another_for(row, event, data)
    return None if row is None else structs.replace(_changed(row, event, data), position=event.position)


def _requested(event: Recorded, data: workflow.Requested) -> Invocation:
    return Invocation(
        id=data.call,
        run=event.stream.id,
        step=data.step,
        item=None if data.item < 0 else data.item,
        kind=data.kind,
        skill=data.skill,
        skill_version=data.version,
        input=shown(data.input),
        requested_at=event.time,
        deadline=data.deadline,
        routed=data.routed,
        undo=data.undo,
        instead_of=data.instead_of,
        actor=event.envelope.actor,
        correlation_id=event.envelope.correlationid,
        requested_in=event.version,
        position=event.position,
    )


def _another_for(row: Invocation, event: Recorded, data: workflow.Requested) -> Invocation:
    """A call that was made because of this one."""
    if data.undo == row.id:
        return structs.replace(row, undone_by=data.call, position=event.position)
    return structs.replace(row, fallback=data.call, position=event.position)


def _changed(row: Invocation, event: Recorded, data: OfCall) -> Invocation:
    match data:
        case workflow.Leased(_, attempt, worker):
            return structs.replace(
                row, status="leased", attempt=attempt, worker=worker, leased_at=event.time, retry_at=None
            )
        case workflow.Progressed(_, attempt, fraction, note):
            return structs.replace(row, attempt=attempt, progress=fraction, note=note or None)
        case workflow.Succeeded():
            done = structs.replace(_worked(row, data), status="succeeded", output=shown(data.output), progress=None)
            return _ended(structs.replace(done, exchanges=list(data.exchanges)), event, None)
        case workflow.Failed():
            return _failed(row, event, data)
        case workflow.Reattempted(_, attempt, version, deadline, routed=routed):
            again = structs.replace(row, status="requested", attempt=attempt, deadline=deadline, retry_at=None)
            return structs.replace(again, skill_version=version, routed=routed or row.routed)
        case workflow.Parked(_, reason):
            return structs.replace(row, status="parked", reason=reason, ended_at=None, ended_in=None)
        case workflow.Retried():
            return structs.replace(
                row, status="retrying", retried=row.retried + 1, retry_at=None, ended_at=None, ended_in=None
            )
        case workflow.GivenUp(_, reason):
            return _ended(structs.replace(row, status="failed" if row.undo is None else "waived"), event, reason)
        case workflow.CallCancelled(_, reason):
            return _ended(structs.replace(row, status="cancelled"), event, reason)


def _failed(row: Invocation, event: Recorded, data: workflow.Failed) -> Invocation:
    failed = structs.replace(
        _worked(row, data),
        status="retrying",
        failure=data.kind,
        failures=row.failures + 1,
        timeouts=row.timeouts + (data.kind in ("timeout", "lost")),
        retry_at=data.retry_at,
        reason=data.reason,
        progress=None,
    )
    if data.retry_at is not None:
        return failed
    return _ended(structs.replace(failed, status="failed"), event, data.reason)


def _worked(row: Invocation, data: workflow.Succeeded | workflow.Failed) -> Invocation:
    return structs.replace(
        row,
        attempt=data.attempt,
        attempts=row.attempts + 1,
        worker=data.worker or row.worker,
        cost=row.cost + data.cost,
        seconds=row.seconds + data.seconds,
        attempt_seconds=data.seconds,
    )


def _ended(row: Invocation, event: Recorded, reason: str | None) -> Invocation:
    return structs.replace(row, reason=reason or None, retry_at=None, ended_at=event.time, ended_in=event.version)


def shown(value: Value) -> Value:
    """As rows have it."""
    if value.hash or value.inline is None:
        return value
    size = len(msgspec.json.encode(value.inline))
    return value if size <= LARGEST_SHOWN else Value(size=size)


invocations = Table(
    "invocations",
    Invocation,
    key,
    fold,
    filters=("status", "skill", "run", "step", "worker", "correlation_id", "requested_at", "ended_at"),
    indexes=(("skill", "requested_at"),),
    partial=("failure",),
)


async def call_of(pool: asyncpg.Pool[asyncpg.Record], id: str) -> Invocation | None:
    found = await pool.fetchrow("SELECT * FROM workflows.invocations WHERE id = $1", id)
    return row_of(invocations, dict(found)) if found is not None else None


def call_as_of(id: str, events: Iterable[tuple[Recorded, Any]]) -> Invocation | None:
    """The row as these events of its run leave it."""
    row: Invocation | None = None
    for event, data in events:
        row = next((fold(row, event, part) for call, part in invocations.changes(event, data) if call == id), row)
    return row
