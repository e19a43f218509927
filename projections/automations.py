"""Read model: automations, and what each of them did."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any, Literal

from msgspec import Struct, structs

from domain import automation
from domain.automation import Action, Carried, Trigger
from eventstore.envelope import Recorded
from projections.projection import Journal, Projection, Table, stream_id


class Automation(Struct, frozen=True, kw_only=True):
    """`fired` counts what occurred, `failed` actions that did not work; `reason` is why it is paused, `trouble` why it
    cannot be carried out."""

    id: str
    name: str
    status: Literal["active", "paused", "removed"] = "active"
    trigger: Trigger
    actions: list[Action]
    parallel: bool = False
    fired: int = 0
    failed: int = 0
    last_occurrence: str | None = None
    last_fired_at: datetime | None = None
    reason: str | None = None
    trouble: str | None = None
    created_at: datetime
    updated_at: datetime
    version: int
    position: int


class Firing(Struct, frozen=True):
    """One occurrence, and what became of each action."""

    id: str
    automation_id: str
    occurrence: str
    what: str
    failed: bool
    carried: list[Carried]
    time: datetime
    position: int


def fold(row: Automation | None, event: Recorded, data: automation.Event) -> Automation | None:
    if isinstance(data, automation.Registered):
        return _registered(row, event, data)
    if row is None:
        return None
    now = structs.replace(row, updated_at=event.time, version=event.version, position=event.position)
    match data:
        case automation.Paused(reason):
            return structs.replace(now, status="paused", reason=reason, trouble=None)
        case automation.Resumed():
            return structs.replace(now, status="active", reason=None)
        case automation.Removed():
            return structs.replace(now, status="removed", reason=None, trouble=None)
        case automation.Fired(_, what, carried):
            failed = now.failed + sum(each.outcome == "failed" for each in carried)
            return structs.replace(
                now, fired=now.fired + 1, failed=failed, last_occurrence=what, last_fired_at=event.time
            )
        case automation.Reached():  # nothing that anybody did
            return structs.replace(row, version=event.version, position=event.position)
        case automation.Stumbled(reason):
            return structs.replace(now, trouble=reason)
        case automation.Recovered():
            return structs.replace(now, trouble=None)


def _registered(row: Automation | None, event: Recorded, data: automation.Registered) -> Automation:
    paused = row is not None and row.status == "paused"
    return Automation(
        id=event.stream.id,
        name=data.name,
        status="paused" if paused else "active",
        trigger=data.trigger,
        actions=list(data.actions),
        parallel=data.parallel,
        fired=row.fired if row else 0,
        failed=row.failed if row else 0,
        last_occurrence=row.last_occurrence if row else None,
        last_fired_at=row.last_fired_at if row else None,
        reason=row.reason if row and paused else None,
        created_at=row.created_at if row else event.time,
        updated_at=event.time,
        version=event.version,
        position=event.position,
    )


def tell(event: Recorded, data: Any) -> Iterator[Firing]:
    if isinstance(data, automation.Fired):
        id, carried = event.stream.id, list(data.carried)
        failed = any(each.outcome == "failed" for each in carried)
        yield Firing(
            f"{id}/{event.version}", id, data.occurrence, data.what, failed, carried, event.time, event.position
        )


automations = Projection(
    "automations",
    frozenset({"automation"}),
    (
        Table("automations", Automation, stream_id, fold, filters=("status", "created_at")),
        Journal("firings", Firing, tell, filters=("automation_id", "failed", "time")),
    ),
)
