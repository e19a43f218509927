"""Read model: what records of each domain have to say, in every version that was published."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any

from msgspec import Struct, structs

from domain import record_schema
from domain.schema import Field, Rule, Schema
from eventstore.envelope import Recorded
from projections.projection import Journal, Projection, Table, stream_id


class RecordSchema(Struct, frozen=True, kw_only=True):
    """The latest version. Records that were analysed by an earlier one keep it."""

    id: str
    title: str
    schema_version: int
    fields: list[Field]
    rules: list[Rule]
    withdrawn: bool = False
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
            return RecordSchema(
                id=event.stream.id,
                title=schema.title or schema.name,
                schema_version=version,
                fields=list(schema.fields),
                rules=list(schema.rules),
                created_at=row.created_at if row else event.time,
                updated_at=event.time,
                version=event.version,
                position=event.position,
            )
        case record_schema.Withdrawn() if row is not None:
            now = structs.replace(row, updated_at=event.time, version=event.version, position=event.position)
            return structs.replace(now, withdrawn=True)
        case record_schema.Withdrawn():
            return None


def tell(event: Recorded, data: Any) -> Iterator[SchemaVersion]:
    if isinstance(data, record_schema.Published):
        id = event.stream.id
        yield SchemaVersion(f"{id}/{data.version}", id, data.version, data.schema, event.time, event.position)


record_schemas = Projection(
    "record_schemas",
    frozenset({"record_schema"}),
    (
        Table("record_schemas", RecordSchema, stream_id, fold, filters=("withdrawn", "created_at")),
        Journal("schema_versions", SchemaVersion, tell, filters=("schema_id", "published_at")),
    ),
)
