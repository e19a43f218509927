"""Read model: where messages come from."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from msgspec import Struct, structs

from domain import source
from domain.message import Platform
from domain.source import Calendar, Configuration, FollowUpPolicy, Limits, Reply
from eventstore.envelope import Recorded
from projections.projection import Projection, Table, stream_id


class Source(Struct, frozen=True):
    """`secret` and `verify` are names of variables; what they hold is on no record."""

    id: str
    name: str
    platform: Platform
    status: Literal["open", "closed"]
    organization_id: str | None
    language: str
    domain: str | None
    calendar: Calendar
    follow_up: FollowUpPolicy
    limits: Limits
    reply: Reply
    secret: str | None
    verify: str | None
    created_at: datetime
    updated_at: datetime
    version: int
    position: int


def fold(row: Source | None, event: Recorded, data: source.Event) -> Source | None:
    match data:
        case source.Registered(configuration):
            return _configured(configuration, event, event.time)
        case source.Configured(configuration) if row is not None:
            return _configured(configuration, event, row.created_at)
        case source.Closed() if row is not None:
            return structs.replace(
                row, status="closed", updated_at=event.time, version=event.version, position=event.position
            )
        case source.Configured() | source.Closed():
            return None


def _configured(found: Configuration, event: Recorded, created_at: datetime) -> Source:
    return Source(
        event.stream.id,
        found.name,
        found.platform,
        "open",
        found.organization_id,
        found.language,
        found.domain,
        found.calendar,
        found.follow_up,
        found.limits,
        found.reply,
        found.secret,
        found.verify,
        created_at,
        event.time,
        event.version,
        event.position,
    )


sources = Projection(
    "sources",
    frozenset({"source"}),
    (Table("sources", Source, stream_id, fold, filters=("platform", "status", "organization_id", "domain")),),
)
