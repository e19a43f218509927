"""Read model: organizations."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from msgspec import Struct, structs

from domain import organization
from eventstore.envelope import Recorded
from projections.projection import Projection, Table, stream_id


class Organization(Struct, frozen=True):
    id: str
    name: str
    description: str
    settings: dict[str, str]
    created_at: datetime
    updated_at: datetime
    version: int
    position: int


def fold(row: Organization | None, event: Recorded, data: Any) -> Organization | None:
    match data, row:
        case organization.Registered(name, description, settings), _:
            return Organization(
                event.stream.id,
                name,
                description,
                settings,
                event.time,
                event.time,
                event.version,
                event.position,
            )
        case organization.Described(description, settings), Organization():
            return structs.replace(
                row,
                description=description,
                settings=settings,
                updated_at=event.time,
                version=event.version,
                position=event.position,
            )
        case _:
            return row


organizations = Projection(
    "organizations",
    frozenset({"organization"}),
    (Table("organizations", Organization, stream_id, fold, filters=("name", "created_at")),),
)
