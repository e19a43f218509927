"""Read model: how complete and right everything is that is tracked, record by record and dataset by dataset."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any, Literal

from msgspec import Struct, structs

from domain import dataset, record
from eventstore.envelope import Recorded
from projections.projection import Journal, Projection, Table


class DataQuality(Struct, frozen=True, kw_only=True):
    """`id` is `<entity type>/<entity id>`. Scores are between 0 and 1; of a dataset, `completeness_score` is the share
    of cells that are there. `quality_flags` are kinds, with the path of what they concern: `wrong_type:total`."""

    id: str
    entity_type: Literal["record", "dataset"]
    entity_id: str
    source: str
    domain: str | None = None
    schema_version: int | None = None
    completeness_score: float = 0.0
    validity_score: float | None = None
    score: float | None = None
    missing_fields: list[str] = []
    quality_flags: list[str] = []
    last_updated: datetime
    follow_up_count: int = 0
    follow_up_deadline: datetime | None = None
    position: int


def key(event: Recorded, data: Any) -> str | None:
    return f"{event.stream.category}/{event.stream.id}"


def fold(row: DataQuality | None, event: Recorded, data: Any) -> DataQuality | None:
    if isinstance(data, record.Received | dataset.Registered):
        return _first(event, data)
    if row is None:
        return None
    now = structs.replace(row, last_updated=event.time, position=event.position)
    match data:
        case record.Scored(found):
            return structs.replace(
                now,
                domain=found.schema_name,
                schema_version=found.schema_version,
                completeness_score=found.completeness,
                validity_score=found.validity,
                score=found.score,
                missing_fields=list(found.missing),
                quality_flags=[f"{flag.kind}:{flag.path}" if flag.path else flag.kind for flag in found.flags],
            )
        case record.Asked(deadline=deadline):
            return structs.replace(now, follow_up_count=now.follow_up_count + 1, follow_up_deadline=deadline)
        case record.Rescheduled(deadline=deadline):
            return structs.replace(now, follow_up_deadline=deadline)
        case record.FollowUpPaused() | record.Expired() | record.FollowUpEnded() | record.Answered(late=False):
            return structs.replace(now, follow_up_deadline=None)
        case record.Dismissed() | dataset.Discarded():
            return None
        case _:
            return row


def _first(event: Recorded, data: record.Received | dataset.Registered) -> DataQuality:
    id = event.stream.id
    match data:
        case record.Received(message):
            return DataQuality(
                id=f"record/{id}",
                entity_type="record",
                entity_id=id,
                source=message.source,
                last_updated=event.time,
                position=event.position,
            )
        case dataset.Registered():
            return DataQuality(
                id=f"dataset/{id}",
                entity_type="dataset",
                entity_id=id,
                source=data.source,
                completeness_score=data.quality_score,
                score=data.quality_score,
                missing_fields=[column.name for column in data.columns if column.missing],
                last_updated=event.time,
                position=event.position,
            )


class Scoring(Struct, frozen=True):
    """One look at one record: the same record may be scored many times, and the last one counts."""

    id: str
    record_id: str
    source: str
    domain: str
    schema_version: int
    score: float
    completeness: float
    validity: float
    missing: list[str]
    flags: list[str]
    time: datetime
    position: int


def tell(event: Recorded, data: Any) -> Iterator[Scoring]:
    if isinstance(data, record.Scored) and data.assessment.schema_version:
        found, id = data.assessment, event.stream.id
        yield Scoring(
            f"{id}/{event.version}",
            id,
            id.rpartition("-")[0],
            found.schema_name,
            found.schema_version,
            found.score,
            found.completeness,
            found.validity,
            list(found.missing),
            sorted({flag.kind for flag in found.flags}),
            event.time,
            event.position,
        )


data_quality = Projection(
    "data_quality_tracking",
    frozenset({"record", "dataset"}),
    (
        Table(
            "data_quality_tracking",
            DataQuality,
            key,
            fold,
            filters=("entity_type", "entity_id", "source", "domain", "completeness_score", "last_updated"),
            partial=("follow_up_deadline",),
        ),
        Journal("scorings", Scoring, tell, filters=("record_id", "source", "domain", "time")),
    ),
)
