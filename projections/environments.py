"""Read model: environments with their targets and what is live in them."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from msgspec import Struct, structs

from domain import environment
from domain.circuit import Circuit
from domain.environment import Placement, Target
from eventstore.envelope import Recorded
from projections.projection import Projection, Table, stream_id


class Environment(Struct, frozen=True, kw_only=True):
    id: str
    name: str
    organization_id: str
    environment_type: str
    configuration: dict[str, str]
    targets: list[Target]
    placements: dict[str, Placement]
    """By stack: what is live, and the deployment under way."""
    circuits: dict[str, Circuit] = {}
    """By target: those that could not be reached lately."""
    created_at: datetime
    updated_at: datetime
    version: int
    position: int


def fold(row: Environment | None, event: Recorded, data: Any) -> Environment | None:
    if isinstance(data, environment.Registered):
        return Environment(
            id=event.stream.id,
            name=data.name,
            organization_id=data.organization_id,
            environment_type=data.environment_type,
            configuration=data.configuration,
            targets=list(data.targets),
            placements={},
            created_at=event.time,
            updated_at=event.time,
            version=event.version,
            position=event.position,
        )
    if row is None:
        return None
    changed = structs.replace(row, updated_at=event.time, version=event.version, position=event.position)
    match data:
        case environment.Configured(configuration):
            return structs.replace(changed, configuration=configuration)
        case environment.TargetAdded(target):
            return structs.replace(changed, targets=[*row.targets, target])
        case environment.TargetRemoved(name):
            return structs.replace(changed, targets=[target for target in row.targets if target.name != name])
        case environment.RolloutReserved(stack_id, deployment_id):
            live = row.placements.get(stack_id, Placement()).live
            placed = {stack_id: Placement(live, deployment_id)}
            return structs.replace(changed, placements={**row.placements, **placed})
        case environment.RolloutSettled(stack_id, _, live):
            return structs.replace(changed, placements={**row.placements, stack_id: Placement(live, None)})
        case environment.TargetUnreachable() | environment.CircuitOpened() | environment.CircuitClosed():
            return structs.replace(changed, circuits=environment.circuits_after(row.circuits, data))
        case _:
            return row


environments = Projection(
    "environments",
    frozenset({"environment"}),
    (
        Table(
            "environments",
            Environment,
            stream_id,
            fold,
            filters=("organization_id", "environment_type", "name", "created_at"),
        ),
    ),
)
