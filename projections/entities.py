"""Read model: entities with the latest values of their features, and every value that was ever recorded."""

from __future__ import annotations

from datetime import datetime

from msgspec import Struct, structs

from domain.entity import FeaturesRecorded
from domain.feature_rules import Value
from eventstore.envelope import Recorded
from projections.projection import Journal, Projection, Table, stream_id


class LatestValue(Struct, frozen=True):
    value: Value
    timestamp: datetime
    source: str
    quality_score: float | None


class Entity(Struct, frozen=True):
    """`features`: by name, the value of the latest time; of several of one time, the one recorded last."""

    id: str
    features: dict[str, LatestValue]
    created_at: datetime
    updated_at: datetime
    version: int
    position: int


class FeatureValue(Struct, frozen=True):
    """What was true at `timestamp`, known since `position`."""

    id: str
    entity_id: str
    feature_name: str
    feature_value: Value
    timestamp: datetime
    source: str
    quality_score: float | None
    recorded_at: datetime
    position: int


def fold(row: Entity | None, event: Recorded, data: FeaturesRecorded) -> Entity:
    known = row.features if row else {}
    at = data.timestamp
    newer = {
        name: LatestValue(value, at, data.source, data.quality_score)
        for name, value in data.values.items()
        if name not in known or known[name].timestamp <= at
    }
    now = Entity(event.stream.id, {**known, **newer}, event.time, event.time, event.version, event.position)
    return structs.replace(now, created_at=row.created_at) if row else now


def tell(event: Recorded, data: FeaturesRecorded) -> list[FeatureValue]:
    return [
        FeatureValue(
            f"{event.stream.id}/{event.version}/{name}",
            event.stream.id,
            name,
            value,
            data.timestamp,
            data.source,
            data.quality_score,
            event.time,
            event.position,
        )
        for name, value in data.values.items()
    ]


feature_values = Journal(
    "feature_values",
    FeatureValue,
    tell,
    filters=("source", "recorded_at"),
    indexes=(("entity_id", "feature_name", "timestamp", "position"),),
)

entities = Projection(
    "entities",
    frozenset({"entity"}),
    (Table("entities", Entity, stream_id, fold, filters=("created_at", "updated_at")), feature_values),
)
