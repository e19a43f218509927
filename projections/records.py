"""Read model: records, from received to complete, and the questions that were asked about them."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from msgspec import Struct, structs

from domain import record
from domain.flag import Flag
from domain.message import Attachment, Platform, Sender
from domain.schema import Value
from eventstore.envelope import Recorded
from projections.follow_ups import follow_ups
from projections.projection import Projection, Table, stream_id

Status = Literal[
    "received", "enriched", "analysed", "scored", "chased", "completed", "expired", "parked", "answer", "dismissed"
]
"""`scored`: something is missing, and nobody is asked for it. `answer`: what it says belongs to another record."""

_ANSWER = "answer"
"""The domain of what belongs to another record."""

_BEFORE: dict[record.Stage, Status] = {"enrich": "received", "analyse": "enriched", "score": "analysed"}
"""The status that a stage begins with."""

_PREVIEW = 2_000
"""Characters."""


class Record(Struct, frozen=True, kw_only=True):
    """`text` is the beginning of what the message itself says, `values` what the record says by field. `original` is
    the SHA-256 of the message as it came where it is stored apart. Scores are between 0 and 1. `processing_seconds`:
    from received to scored for the first time."""

    id: str
    status: Status = "received"
    source: str
    platform: Platform
    external_id: str
    conversation: str
    sender: Sender
    sender_id: str
    text: str
    attachments: list[Attachment]
    original: str | None
    domain: str | None = None
    domain_confidence: float | None = None
    language: str | None = None
    schema_version: int | None = None
    values: dict[str, Value] = {}
    score: float | None = None
    completeness: float | None = None
    validity: float | None = None
    missing: list[str] = []
    invalid: list[str] = []
    flags: list[Flag] = []
    duplicate_of: str | None
    answers: str | None
    follow_up: int | None = None
    follow_up_status: str | None = None
    follow_up_deadline: datetime | None = None
    parked_stage: record.Stage | None = None
    parked_reason: str | None = None
    retryable: bool | None = None
    failures: int = 0
    cost: float = 0.0
    processing_seconds: float | None = None
    sent_at: datetime
    received_at: datetime
    updated_at: datetime
    correlation_id: str
    version: int
    position: int


def fold(row: Record | None, event: Recorded, data: record.Event) -> Record | None:
    if isinstance(data, record.Received):
        return _received(event, data)
    if row is None:
        return None
    now = structs.replace(row, updated_at=event.time, version=event.version, position=event.position)
    changed = _changed(now, event, data)
    # A stage under way may end after the record was dismissed, and people may be asked about one that is parked.
    if "dismissed" in (row.status, changed.status):
        return structs.replace(changed, status="dismissed")
    return structs.replace(changed, status="parked") if changed.parked_stage is not None else changed


def _changed(now: Record, event: Recorded, data: record.Event) -> Record:
    match data:
        case record.Received():
            return now
        case record.Enriched(found):
            attachments = list(found.attachments) or now.attachments
            return structs.replace(
                now, status="enriched", language=found.language, attachments=attachments, flags=list(found.flags)
            )
        case record.Analysed(analysis):
            return _analysed(now, analysis)
        case record.Scored(assessment):
            return _scored(now, event, assessment)
        case record.Persisted(values):
            return structs.replace(now, values=values)
        case record.StageFailed():
            return structs.replace(now, failures=now.failures + 1)
        case record.Parked(stage, reason, retryable):
            return structs.replace(now, status="parked", parked_stage=stage, parked_reason=reason, retryable=retryable)
        case record.Retried(stage):
            return structs.replace(now, status=_BEFORE[stage], parked_stage=None, parked_reason=None, retryable=None)
        case record.Completed():
            return structs.replace(now, status=_complete(now.domain))
        case record.Dismissed():
            return structs.replace(now, status="dismissed")
        case record.Corrected():
            return now
        case record.Answered(number, late=late):
            if late or number is None:
                return now
            return structs.replace(now, follow_up_status="answered", follow_up_deadline=None)
        case _:
            return _followed(now, data)


def _received(event: Recorded, data: record.Received) -> Record:
    message = data.message
    return Record(
        id=event.stream.id,
        source=message.source,
        platform=message.platform,
        external_id=message.external_id,
        conversation=message.conversation,
        sender=message.sender,
        sender_id=message.sender.id,
        text=message.text[:_PREVIEW],
        attachments=list(message.attachments),
        original=data.original,
        duplicate_of=data.duplicate_of,
        answers=data.answers.record_id if data.answers else None,
        sent_at=message.sent_at,
        received_at=event.time,
        updated_at=event.time,
        correlation_id=event.envelope.correlationid,
        version=event.version,
        position=event.position,
    )


def _analysed(row: Record, analysis: record.Analysis) -> Record:
    return structs.replace(
        row,
        status="analysed",
        domain=analysis.domain,
        domain_confidence=analysis.confidence,
        schema_version=analysis.schema_version,
        cost=row.cost + sum(exchange.cost for exchange in analysis.exchanges),
    )


def _scored(row: Record, event: Recorded, found: record.Assessment) -> Record:
    """A record that was complete before, and is so again, says it only by having no gaps."""
    waits = row.follow_up_status in ("requested", "waiting", "paused")
    first = row.processing_seconds is None
    return structs.replace(
        row,
        status=("chased" if waits else "scored") if found.root_gaps else _complete(found.schema_name),
        domain=found.schema_name,
        schema_version=found.schema_version,
        processing_seconds=(event.time - row.received_at).total_seconds() if first else row.processing_seconds,
        score=found.score,
        completeness=found.completeness,
        validity=found.validity,
        missing=list(found.missing),
        invalid=list(found.invalid),
        flags=list(found.flags),
    )


def _complete(domain: str | None) -> Status:
    return "answer" if domain == _ANSWER else "completed"


Followed = (
    record.FollowUpRequested
    | record.Asked
    | record.Reminded
    | record.FollowUpPaused
    | record.FollowUpResumed
    | record.Rescheduled
    | record.Expired
    | record.FollowUpEnded
)


def _followed(row: Record, data: Followed) -> Record:
    match data:
        case record.FollowUpRequested(number):
            return structs.replace(row, status="chased", follow_up=number, follow_up_status="requested")
        case record.Asked(deadline=deadline) | record.Rescheduled(deadline=deadline):
            return structs.replace(row, follow_up_status="waiting", follow_up_deadline=deadline)
        case record.FollowUpPaused():
            return structs.replace(row, follow_up_status="paused", follow_up_deadline=None)
        case record.Expired():
            return structs.replace(row, status="expired", follow_up_status="expired", follow_up_deadline=None)
        case record.FollowUpEnded():
            status = "scored" if row.status == "chased" else row.status
            return structs.replace(row, status=status, follow_up_status="ended", follow_up_deadline=None)
        case record.FollowUpResumed():
            return structs.replace(row, follow_up_status="waiting")
        case record.Reminded():
            return row


records = Projection(
    "records",
    frozenset({"record"}),
    (
        Table(
            "records",
            Record,
            stream_id,
            fold,
            filters=(
                "status",
                "source",
                "platform",
                "domain",
                "language",
                "sender_id",
                "conversation",
                "external_id",
                "duplicate_of",
                "answers",
                "follow_up_status",
                "received_at",
                "sent_at",
            ),
        ),
        follow_ups,
    ),
)
