"""Asking the read models: lists with filters and cursors, single rows now or as they were, waiting for a position."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final, NamedTuple

import asyncpg
import msgspec

from eventstore.envelope import StreamId
from eventstore.errors import HistoryBroken
from eventstore.store import EventStore
from projections.progress import Progress
from projections.projection import AnyTable, Projection, Table
from projections.rows import row_of
from projections.tables import META, searched

DEFAULT_LIMIT: Final = 50
MAX_LIMIT: Final = 500
_STALLED: Final = 30.0
_BOUNDS: Final = (
    ("_after", ">", "timestamptz"),
    ("_before", "<", "timestamptz"),
    ("_above", ">", "double precision"),
    ("_below", "<", "double precision"),
)


class BadQuery(Exception):
    """The query cannot be answered; every fault at once, as (parameter, what is wrong)."""

    def __init__(self, faults: Sequence[tuple[str, str]]) -> None:
        super().__init__("; ".join(f"{name}: {what}" for name, what in faults))
        self.faults = tuple(faults)


class NotReached(Exception):
    """A read model, or what is known here of the log, has not got that far in time."""

    def __init__(self, name: str, wanted: int, reached: int) -> None:
        super().__init__(f"{name} has reached position {reached}, not yet {wanted}")
        self.name, self.wanted, self.reached = name, wanted, reached


class Page(NamedTuple):
    """`cursor` gives the next page; None on the last one."""

    items: list[Any]
    cursor: str | None


class ProjectionStatus(msgspec.Struct, frozen=True):
    """`lag_seconds`: age of the oldest event not yet projected; 0 when there is none.

    Requests for a rebuild that stand at position `built_at` or before are fulfilled; those at `rebuild_failed_at` or
    before, and above `built_at`, have failed for the reason in `rebuild_failure`.
    """

    name: str
    state: str
    position: int
    head: int
    lag_events: int
    lag_seconds: float
    reason: str | None
    updated_at: datetime
    rebuild_position: int | None
    rebuild_head: int | None
    rebuild_report: Any = None
    built_at: int = 0
    rebuild_failure: str | None = None
    rebuild_failed_at: int | None = None


class ReadModels:
    """The read side. `pool` and `listener` belong to the caller's event loop."""

    def __init__(self, pool: asyncpg.Pool[asyncpg.Record], store: EventStore, models: Sequence[Projection]) -> None:
        self._pool = pool
        self._store = store
        self._models = {model.name: model for model in models}
        self._progress = Progress(pool)

    def model(self, name: str) -> Projection:
        """Raises KeyError."""
        return self._models[name]

    async def rows(
        self,
        name: str,
        *,
        table: str | None = None,
        filters: Mapping[str, str] | None = None,
        limit: int = DEFAULT_LIMIT,
        cursor: str | None = None,
    ) -> Page:
        """Newest change first. Raises BadQuery."""
        chosen = self._table(name, table)
        conditions, values = _conditions(chosen, filters or {})
        if cursor is not None:
            position, id = _read_cursor(cursor)
            conditions.append(f"(position, id) < (${len(values) + 1}, ${len(values) + 2})")
            values += [position, id]
        where = f"WHERE {' AND '.join(conditions)}" if conditions else ""
        found = await self._pool.fetch(
            f'SELECT * FROM "{name}"."{chosen.name}" {where} ORDER BY position DESC, id DESC LIMIT {int(limit) + 1}',
            *values,
        )
        items = [row_of(chosen, dict(record)) for record in found[:limit]]
        more = len(found) > limit
        return Page(items, _write_cursor(items[-1].position, items[-1].id) if more else None)

    async def row(self, name: str, id: str) -> Any | None:
        table = self._table(name, None)
        found = await self._pool.fetchrow(f'SELECT * FROM "{name}"."{table.name}" WHERE id = $1', id)
        return row_of(table, dict(found)) if found is not None else None

    async def rows_of(self, name: str, ids: Sequence[str]) -> dict[str, Any]:
        """Those that there are, by id."""
        table = self._table(name, None)
        found = await self._pool.fetch(f'SELECT * FROM "{name}"."{table.name}" WHERE id = ANY($1::text[])', ids)
        return {record["id"]: row_of(table, dict(record)) for record in found}

    async def row_as_of(self, name: str, stream: StreamId, moment: int | datetime) -> Any | None:
        """The row as it was at a position or time, folded from the stream; None when there was none yet."""
        until: dict[str, Any] = {"until_position" if isinstance(moment, int) else "until_time": moment}
        table, row = self._table(name, None), None
        assert isinstance(table, Table), f"what is told in {name} never changes"
        for event in await self._store.load(stream, **until):
            row = table.fold(row, event, self._store.decode(event))
        return row

    async def statuses(self) -> list[ProjectionStatus]:
        records = await self._pool.fetch(f"SELECT * FROM {META}.checkpoint ORDER BY name")
        head = (await self._store.state()).last
        return [await self._status(dict(record), head) for record in records]

    async def wait_for(self, name: str, position: int, timeout: float) -> int:
        """How far the read model has come, once it knows everything up to a position.

        Raises NotReached after `timeout` seconds.
        """
        reached = await self._progress.wait_for(name, position, timeout)
        if reached < position:
            raise NotReached(name, position, reached)
        return reached

    async def position(self, name: str) -> int:
        """How far the read model has come."""
        return await self._progress.position(name)

    async def counts(self, name: str, column: str) -> dict[str, int]:
        """Rows of the main table by the value of a column that is a filter."""
        table = self._table(name, None)
        if column not in table.filters:
            raise BadQuery([(column, "there is no such filter")])
        found = await self._pool.fetch(f'SELECT "{column}", count(*) FROM "{name}"."{table.name}" GROUP BY 1')
        return {str(value): count for value, count in found}

    async def listen(self) -> None:
        """Hear of new positions at once; until cancelled. Without it, waiting only looks from time to time."""
        await self._progress.listen()

    def _table(self, name: str, table: str | None) -> AnyTable:
        tables = self._models[name].tables
        return next((each for each in tables if each.name == table), tables[0])

    async def _age_above(self, position: int) -> float:
        """Seconds since the first event above a position; 0 where there is none, or none that can be read."""
        try:
            oldest = await self._store.read(position, 1)
        except HistoryBroken:
            return 0.0
        return max(0.0, (datetime.now(UTC) - oldest[0].time).total_seconds()) if oldest else 0.0

    async def _status(self, record: Mapping[str, Any], head: int) -> ProjectionStatus:
        position: int = record["position"]
        lag_seconds = 0.0
        if position < head:
            lag_seconds = await self._age_above(position)
        state = record["state"]
        idle = (datetime.now(UTC) - record["updated_at"]).total_seconds()
        if record["rebuild_position"] is not None:
            state = "rebuilding"
        elif state == "live" and position < head and min(idle, lag_seconds) > _STALLED:
            state = "stalled"
        report = record["rebuild_report"]
        return ProjectionStatus(
            record["name"],
            state,
            position,
            head,
            head - position,
            round(lag_seconds, 3),
            record["reason"],
            record["updated_at"],
            record["rebuild_position"],
            record["rebuild_head"],
            msgspec.json.decode(report) if report else None,
            record["built_at"],
            record["rebuild_failure"],
            record["rebuild_failed_at"],
        )


def _conditions(table: AnyTable, filters: Mapping[str, str]) -> tuple[list[str], list[Any]]:
    """`column=value`, `column_after` / `column_before` for times, `column_above` / `column_below` for scores; a word of
    a list; `text` for words of a text."""
    allowed = {*table.filters, *table.partial}
    types = {column.name: column.type for column in table.columns if column.name in allowed}
    by_words = _by_words(table)
    conditions: list[str] = []
    values: list[Any] = []
    faults: list[tuple[str, str]] = []
    for name, text in filters.items():
        column, operator = name, "="
        for suffix, comparison, type in _BOUNDS:
            if name.endswith(suffix) and types.get(name.removesuffix(suffix)) == type:
                column, operator = name.removesuffix(suffix), comparison
        if column not in types and name not in by_words:
            known = ", ".join(sorted({*types, *by_words}))
            faults.append((name, f"there is no such filter; known: {known}"))
            continue
        words = table.choices.get(column)
        if words and text not in words:
            faults.append((name, f"there is no {text[:100]!r}; known: {', '.join(words)}"))
            continue
        try:
            values.append(_value(types.get(column, "text"), text))
        except ValueError as error:
            faults.append((name, str(error)))
            continue
        conditions.append(by_words.get(name, f'"{column}" {operator} %s') % f"${len(values)}")
    if faults:
        raise BadQuery(faults)
    return conditions, values


def _by_words(table: AnyTable) -> dict[str, str]:
    """Conditions, with a place for the value."""
    found = {name: f'"{column}" ? %s' for name, column in table.listed}
    if table.full_text:
        found["text"] = f"{searched(table)} @@ websearch_to_tsquery('simple', %s)"
    return found


def _value(type: str, text: str) -> Any:
    if "\0" in text:
        raise ValueError("must not contain NUL")
    match type:
        case "timestamptz":
            return read_time(text)
        case "bigint":
            return int(text)
        case "double precision":
            return float(text)
        case "boolean":
            if text not in ("true", "false"):
                raise ValueError("must be true or false")
            return text == "true"
        case _:
            return text


def read_time(text: str) -> datetime:
    """RFC 3339. Raises ValueError."""
    try:
        return msgspec.convert(text, datetime).astimezone(UTC)
    except (msgspec.ValidationError, OverflowError) as error:
        raise ValueError(f"{text!r} is no RFC 3339 time") from error


def _write_cursor(position: int, id: str) -> str:
    return base64.urlsafe_b64encode(f"{position}:{id}".encode()).decode().rstrip("=")


def _read_cursor(cursor: str) -> tuple[int, str]:
    try:
        text = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True).decode()
        position, _, id = text.partition(":")
        if not id or "\0" in id:
            raise ValueError
        return int(position), id
    except ValueError as error:
        raise BadQuery([("cursor", "is none of ours; take it from a page's `next` link")]) from error
