"""Read model: skills, with all their versions side by side."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from msgspec import Struct, structs

from domain import skill
from domain.skill import Specification
from eventstore.envelope import Recorded
from projections.projection import Projection, Table, stream_id


class SkillVersion(Struct, frozen=True, kw_only=True):
    """`share` of the calls that name no version, from 0 to 1. `open_until`: its circuit is open before that moment,
    after so many `failures` in a row."""

    specification: Specification
    share: float = 0.0
    retired: bool = False
    open_until: datetime | None = None
    failures: int = 0
    reason: str | None = None
    registered_at: datetime


class Skill(Struct, frozen=True, kw_only=True):
    """`description` is that of the version with the largest share; `capabilities` are those of all that may be asked.
    `shares` are weights, as they were given."""

    id: str
    status: Literal["offered", "retired"] = "offered"
    description: str = ""
    capabilities: list[str] = []
    versions: dict[str, SkillVersion]
    shares: dict[str, int] = {}
    created_at: datetime
    updated_at: datetime
    version: int
    position: int


def fold(row: Skill | None, event: Recorded, data: skill.Event) -> Skill | None:
    if row is None and isinstance(data, skill.Registered):
        row = Skill(
            id=event.stream.id, versions={}, created_at=event.time, updated_at=event.time, version=0, position=0
        )
    if row is None:
        return None
    now = structs.replace(row, updated_at=event.time, version=event.version, position=event.position)
    return _in_sum(_changed(now, event, data))


def _changed(now: Skill, event: Recorded, data: skill.Event) -> Skill:
    match data:
        case skill.Registered(specification):
            offered = SkillVersion(specification=specification, registered_at=event.time)
            return structs.replace(now, versions=now.versions | {specification.version: offered})
        case skill.Routed(shares):
            return structs.replace(now, shares=shares)
        case skill.Retired(version, reason):
            return _with(now, version, retired=True, reason=reason or None)
        case skill.CircuitOpened(version, failures, until, reason):
            return _with(now, version, open_until=until, failures=failures, reason=reason)
        case skill.CircuitClosed(version):
            return _with(now, version, open_until=None, failures=0, reason=None)


def _with(row: Skill, version: str, **changes: object) -> Skill:
    changed = structs.replace(row.versions[version], **changes)
    return structs.replace(row, versions=row.versions | {version: changed})


def _in_sum(row: Skill) -> Skill:
    """What is said of all versions together."""
    asked = {name: row.shares.get(name, 0) for name, each in row.versions.items() if not each.retired}
    weights = sum(asked.values())
    versions = {
        name: structs.replace(each, share=asked.get(name, 0) / weights if weights else 0.0)
        for name, each in row.versions.items()
    }
    # The one that came last, of those with the same weight.
    first = max(reversed(asked or row.versions), key=lambda name: asked.get(name, 0))
    return structs.replace(
        row,
        status="offered" if asked else "retired",
        versions=versions,
        description=versions[first].specification.description,
        capabilities=sorted({word for name in asked for word in versions[name].specification.capabilities}),
    )


skills = Projection(
    "skills",
    frozenset({"skill"}),
    (
        Table(
            "skills",
            Skill,
            stream_id,
            fold,
            filters=("status", "created_at"),
            listed=(("capability", "capabilities"),),
            full_text=("id", "description", "capabilities"),
        ),
    ),
)
