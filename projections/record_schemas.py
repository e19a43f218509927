"""Read model: what records of each domain have to say, in every version that was published."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any

from msgspec import Struct

from domain import record_schema
from domain.schema import Field, Rule, Schema
from eventstore.envelope import Recorded
from projections.projection import Journal, Projection, Table, stream_id


class RecordSchema(Struct, frozen=True, kw_only=True):
    """`schema_version` is the one that new records are held to, with its `fields` and `rules`; records that were
    analysed by another one keep it. `schemas` are all versions, by number."""

    id: str
    title: str
    schema_version: int
    fields: list[Field]
    rules: list[Rule]
    schemas: dict[str, Schema]
    withdrawn: list[int] = []
    created_at: datetime
    updated_at: datetime
    version: int
    position: int


class SchemaVersion(Struct, frozen=True):
    id: str
    schema_id: str
    schema_version: int
    schema: Schema
    published_at: datetime
    position: int


def fold(row: RecordSchema | None, event: Recorded, data: record_schema.Event) -> RecordSchema | None:
    match data:
        case record_schema.Published(version, schema):
            schemas = {**(row.schemas if row else {}), str(version): schema}
            return _held_to(version, schemas, row.withdrawn if row else [], row, event)
        case record_schema.Withdrawn(version, _, latest) if row is not None:
            return _held_to(latest, row.schemas, [*row.withdrawn, version], row, event)
        case record_schema.Withdrawn():
            return None


def _held_to(
    version: int, schemas: dict[str, Schema], withdrawn: list[int], row: RecordSchema | None, event: Recorded
) -> RecordSchema:
    schema = schemas[str(version)]
    return RecordSchema(
        id=event.stream.id,
        title=schema.title or schema.name,
        schema_version=version,
        fields=list(schema.fields),
        rules=list(schema.rules),
        schemas=schemas,
        withdrawn=withdrawn,
        created_at=row.created_at if row else event.time,
        updated_at=event.time,
        version=event.version,
        position=event.position,
    )


def tell(event: Recorded, data: Any) -> Iterator[SchemaVersion]:
    if isinstance(data, record_schema.Published):
        id = event.stream.id
        yield SchemaVersion(f"{id}/{data.version}", id, data.version, data.schema, event.time, event.position)


record_schemas = Projection(
    "record_schemas",
    frozenset({"record_schema"}),
    (
        Table("record_schemas", RecordSchema, stream_id, fold, filters=("created_at",)),
        Journal("schema_versions", SchemaVersion, tell, filters=("schema_id", "published_at")),
    ),
)
