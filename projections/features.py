"""Read model: features with their definitions, versions and lineage."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from msgspec import Struct, structs

from domain import feature
from domain.feature import FreshnessRequirements
from domain.feature_rules import DataType, ValidationRules, Value
from eventstore.envelope import Recorded
from projections.projection import Journal, Projection, Table, stream_id


class FeatureDefinition(Struct, frozen=True):
    """`upstream`: what it is made from."""

    id: str
    name: str
    description: str
    data_type: DataType
    freshness_requirements: FreshnessRequirements
    validation_rules: ValidationRules
    versions: list[str]
    upstream: list[str]
    created_at: datetime
    updated_at: datetime
    version: int
    position: int


class FeatureVersion(Struct, frozen=True):
    id: str
    feature_id: str
    version: str
    data_location: str
    statistics: dict[str, float]
    quality_metrics: dict[str, float]
    created_at: datetime
    position: int


class FeatureLineage(Struct, frozen=True):
    """The feature `downstream_id` is made from `upstream_id`, among others perhaps."""

    id: str
    upstream_id: str
    downstream_id: str
    transformation_type: str
    transformation_config: dict[str, Value]
    created_at: datetime
    position: int


def fold(row: FeatureDefinition | None, event: Recorded, data: feature.Event) -> FeatureDefinition | None:
    if isinstance(data, feature.Defined):
        return FeatureDefinition(
            event.stream.id,
            event.stream.id,
            data.description,
            data.data_type,
            data.freshness_requirements,
            data.validation_rules,
            [],
            [],
            event.time,
            event.time,
            event.version,
            event.position,
        )
    if row is None:
        return None
    now = structs.replace(row, updated_at=event.time, version=event.version, position=event.position)
    match data:
        case feature.Described(description, freshness, rules):
            described = structs.replace(now, description=description, freshness_requirements=freshness)
            return structs.replace(described, validation_rules=rules)
        case feature.VersionPublished(version):
            return structs.replace(now, versions=[*row.versions, version])
        case feature.Derived(upstream):
            return structs.replace(now, upstream=list(upstream))


def tell_versions(event: Recorded, data: feature.Event) -> list[FeatureVersion]:
    if not isinstance(data, feature.VersionPublished):
        return []
    id, name = f"{event.stream.id}/{data.version}", event.stream.id
    location, statistics, quality = data.data_location, data.statistics, data.quality_metrics
    return [FeatureVersion(id, name, data.version, location, statistics, quality, event.time, event.position)]


def lineage_keys(event: Recorded, data: feature.Event) -> Mapping[str, FeatureLineage | None] | None:
    """What each pair becomes."""
    if not isinstance(data, feature.Derived):
        return None
    down, kind, config = event.stream.id, data.transformation_type, data.transformation_config
    made = {
        f"{up}/{down}": FeatureLineage(f"{up}/{down}", up, down, kind, config, event.time, event.position)
        for up in data.upstream
    }
    return {**dict.fromkeys(f"{up}/{down}" for up in data.dropped), **made}


def fold_lineage(row: FeatureLineage | None, event: Recorded, data: FeatureLineage | None) -> FeatureLineage | None:
    return structs.replace(data, created_at=row.created_at) if row and data else data


features = Projection(
    "features",
    frozenset({"feature"}),
    (
        Table("feature_definitions", FeatureDefinition, stream_id, fold, filters=("data_type", "created_at")),
        Journal("feature_versions", FeatureVersion, tell_versions, filters=("feature_id", "version")),
        Table(
            "feature_lineage",
            FeatureLineage,
            lineage_keys,
            fold_lineage,
            filters=("upstream_id", "downstream_id", "transformation_type"),
        ),
    ),
)
