"""Read model: datasets, with what is known of their columns. The rows themselves are a file, found by `content`."""

from __future__ import annotations

from datetime import UTC, datetime

from msgspec import Struct, structs

from domain import dataset
from domain.dataset import Column, Source
from domain.pipeline import Parameter
from eventstore.envelope import Recorded
from projections.projection import Projection, Table, stream_id


class Dataset(Struct, frozen=True):
    """`quality_score` is the share of cells that are there; `hour_generated` the hour of the day, UTC, from 0."""

    id: str
    name: str
    source: Source
    samples_count: int
    content: str
    size: int
    target: str | None
    columns: list[Column]
    quality_score: float
    metadata: dict[str, Parameter]
    discarded: bool
    discard_reason: str | None
    hour_generated: int
    created_at: datetime
    updated_at: datetime
    version: int
    position: int


def fold(row: Dataset | None, event: Recorded, data: dataset.Event) -> Dataset | None:
    match data:
        case dataset.Registered():
            return _registered(event, data)
        case dataset.Discarded(reason):
            if row is None:
                return None
            now = structs.replace(row, updated_at=event.time, version=event.version, position=event.position)
            return structs.replace(now, discarded=True, discard_reason=reason)


def _registered(event: Recorded, data: dataset.Registered) -> Dataset:
    return Dataset(
        event.stream.id,
        data.name,
        data.source,
        data.samples,
        data.content,
        data.size,
        data.target,
        list(data.columns),
        data.quality_score,
        data.metadata,
        False,
        None,
        event.time.astimezone(UTC).hour,
        event.time,
        event.time,
        event.version,
        event.position,
    )


datasets = Projection(
    "datasets",
    frozenset({"dataset"}),
    (Table("datasets", Dataset, stream_id, fold, filters=("name", "source", "target", "discarded", "created_at")),),
)
