"""Read model: stacks with their versions, and where each stack is live."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from msgspec import Struct, structs

from domain import environment, stack
from domain.environment import LiveRelease
from eventstore.envelope import Recorded
from projections.projection import Projection, Table


class StackVersion(Struct, frozen=True):
    version: str
    release: stack.ReleaseSpec
    published_at: datetime
    withdrawn: str | None = None


class Stack(Struct, frozen=True):
    id: str
    name: str
    organization_id: str
    description: str
    configuration: dict[str, str]
    versions: list[StackVersion]
    live: dict[str, LiveRelease]
    """By environment."""
    created_at: datetime
    updated_at: datetime
    version: int
    position: int


def key(event: Recorded, data: Any) -> str | None:
    match data:
        case environment.RolloutSettled(stack_id):
            return stack_id
        case _:
            return event.stream.id if event.stream.category == "stack" else None


def fold(row: Stack | None, event: Recorded, data: Any) -> Stack | None:
    if isinstance(data, stack.Registered):
        return Stack(
            event.stream.id,
            data.name,
            data.organization_id,
            data.description,
            data.configuration,
            [],
            {},
            event.time,
            event.time,
            event.version,
            event.position,
        )
    if row is None:
        return None
    changed = structs.replace(row, updated_at=event.time, position=event.position)
    match data:
        case environment.RolloutSettled(_, _, live):
            others = {name: release for name, release in row.live.items() if name != event.stream.id}
            return structs.replace(changed, live={**others, **({event.stream.id: live} if live else {})})
        case stack.Configured(configuration):
            return structs.replace(changed, configuration=configuration, version=event.version)
        case stack.VersionPublished(version, release):
            published = StackVersion(version, release, event.time)
            return structs.replace(changed, versions=[*row.versions, published], version=event.version)
        case stack.VersionWithdrawn(version, reason):
            versions = [structs.replace(v, withdrawn=reason) if v.version == version else v for v in row.versions]
            return structs.replace(changed, versions=versions, version=event.version)
        case _:
            return row


stacks = Projection(
    "stacks",
    frozenset({"stack", "environment"}),
    (Table("stacks", Stack, key, fold, filters=("organization_id", "name", "created_at")),),
)
