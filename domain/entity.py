"""An entity: whatever features have values of (a customer, a parcel, a machine), and what these were when.

A value is recorded with the time at which it was true; what is recorded stays. So both can be asked: what was true
then, and what was known of it at that position of the log.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Final

from msgspec import Meta, Struct

from domain.decider import Decider, Refusal
from domain.feature import Id
from domain.feature_rules import Value

_YEARS: Final = range(1900, 2201)
"""Whatever falls into them is a time in every zone, and in every system that these values may go to."""


class RecordFeatures(Struct, frozen=True, forbid_unknown_fields=True, tag="entity.record_features"):
    """`timestamp`: when it was true. Another value of the same time counts instead of the one recorded before.

    `quality_score`, from 0 to 1, is the source's own opinion.
    """

    values: Annotated[dict[Id, Value], Meta(min_length=1, max_length=200)]
    timestamp: Annotated[datetime, Meta(tz=True)]
    source: Annotated[str, Meta(max_length=200)] = ""
    quality_score: Annotated[float, Meta(ge=0, le=1)] | None = None


# Event tags are storage: never rename one that has been written.
class FeaturesRecorded(Struct, frozen=True, tag="entity.features_recorded"):
    values: dict[str, Value]
    timestamp: datetime
    source: str
    quality_score: float | None


class Entity(Struct, frozen=True, tag="entity"):
    """Nothing that is recorded keeps anything else from being recorded."""


def decide(command: RecordFeatures, state: Entity) -> tuple[FeaturesRecorded, ...] | Refusal:
    """Names and values were held to the features' definitions before (`handlers.resolve`)."""
    if command.timestamp.year not in _YEARS:
        return Refusal("timestamp_out_of_range", f"years go from {_YEARS[0]} to {_YEARS[-1]}")
    at = command.timestamp.astimezone(UTC)
    return (FeaturesRecorded(command.values, at, command.source, command.quality_score),)


def evolve(state: Entity, event: FeaturesRecorded) -> Entity:
    return state


entity: Decider[RecordFeatures, Entity, FeaturesRecorded] = Decider(
    "entity", RecordFeatures, FeaturesRecorded, Entity, Entity(), decide, evolve
)
