"""Every question that was asked about a record: when, for what, and what came of it."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

from msgspec import Struct, structs

from domain import record
from domain.schema import Value
from eventstore.envelope import Recorded
from projections.projection import Table

Status = Literal["requested", "sent", "paused", "responded", "timeout", "cancelled"]


class FollowUp(Struct, frozen=True, kw_only=True):
    """`id` is `<record id>/<number>`; `missing_fields` are what it asks for, `values` what was answered, by the record
    `response_id` or a person. `late` ones came after the question was over. `deadline` is None while it is paused."""

    id: str
    record_id: str
    source: str
    number: int
    status: Status = "requested"
    missing_fields: list[str]
    channel: str | None = None
    question_text: str | None = None
    question_language: str | None = None
    external_id: str | None = None
    sent_at: datetime | None = None
    remind_at: datetime | None = None
    reminded_at: datetime | None = None
    deadline: datetime | None = None
    values: dict[str, Value] = {}
    refused: list[str] = []
    response_id: str | None = None
    response_received_at: datetime | None = None
    late: bool = False
    reason: str | None = None
    ended_at: datetime | None = None
    requested_at: datetime
    updated_at: datetime
    position: int


Told = (
    record.FollowUpRequested
    | record.Asked
    | record.Reminded
    | record.FollowUpPaused
    | record.FollowUpResumed
    | record.Rescheduled
    | record.Answered
    | record.Expired
    | record.FollowUpEnded
)


def key(event: Recorded, data: Any) -> str | None:
    number = data.number if isinstance(data, Told) else None
    return None if number is None else f"{event.stream.id}/{number}"


def fold(row: FollowUp | None, event: Recorded, data: Told) -> FollowUp | None:
    if isinstance(data, record.FollowUpRequested):
        return _requested(event, data)
    if row is None:
        return None
    now = structs.replace(row, updated_at=event.time, position=event.position)
    match data:
        case record.Asked(_, question, channel, external_id, remind_at, deadline):
            return structs.replace(
                now,
                status="sent",
                channel=channel,
                question_text=question.text,
                question_language=question.language,
                external_id=external_id,
                sent_at=event.time,
                remind_at=remind_at,
                deadline=deadline,
            )
        case record.Reminded():
            return structs.replace(now, reminded_at=event.time)
        case record.FollowUpPaused(_, reason):
            return structs.replace(now, status="paused", deadline=None, reason=reason)
        case record.FollowUpResumed():
            return structs.replace(now, status="sent", reason=None)
        case record.Rescheduled(_, remind_at, deadline):
            return structs.replace(now, remind_at=remind_at, deadline=deadline)
        case record.Answered():
            return _answered(now, event, data)
        case record.Expired():
            return structs.replace(now, status="timeout", deadline=None, ended_at=event.time)
        case record.FollowUpEnded(_, reason):
            return structs.replace(now, status="cancelled", deadline=None, reason=reason, ended_at=event.time)


def _requested(event: Recorded, data: record.FollowUpRequested) -> FollowUp:
    id = event.stream.id
    return FollowUp(
        id=f"{id}/{data.number}",
        record_id=id,
        source=id.rpartition("-")[0],
        number=data.number,
        missing_fields=list(data.gaps),
        requested_at=event.time,
        updated_at=event.time,
        position=event.position,
    )


def _answered(row: FollowUp, event: Recorded, data: record.Answered) -> FollowUp:
    """A late answer changes nothing of how the question ended."""
    now = structs.replace(
        row,
        values={**row.values, **data.values},
        refused=sorted({*row.refused, *data.refused}),
        response_id=data.by,
        response_received_at=event.time,
        late=data.late,
    )
    return now if data.late else structs.replace(now, status="responded", deadline=None, ended_at=event.time)


follow_ups = Table(
    "follow_ups",
    FollowUp,
    key,
    fold,
    filters=("record_id", "source", "status", "sent_at", "late"),
    partial=("deadline",),
)
