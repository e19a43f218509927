"""Rows of somebody else's database, in the order of a column that only grows."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from math import isfinite
from typing import Any, Final

import asyncpg
import msgspec

from domain.automation import DatabasePoller
from records.automations.occurrence import Looked, Occurrence, occurrence_id

_PATIENCE: Final = 30.0
"""Seconds for one look."""

_AT_A_LOOK: Final = 500
"""Rows, and as many more as have the same cursor as the last of them."""

Row = Mapping[str, Any]


async def occurrences(trigger: DatabasePoller, url: str, cursor: str | None) -> AsyncGenerator[Occurrence | Looked]:
    """For ever, from the row after `cursor`. Raises OSError, asyncpg.PostgresError, and LookupError for a URL of no
    database or an answer without the column of the cursor."""
    last = cursor or ""
    while True:
        before = last
        found, more = await _look(trigger, url, last)
        for row, following in zip(found, [*found[1:], None], strict=True):
            last = _cursor(trigger, row)
            # Of rows with the same cursor, all are to be dealt with before it is left behind.
            ends = following is None or _cursor(trigger, following) != last
            yield _occurrence(trigger, row, last, last if ends else None)
        yield Looked()
        if not more or last == before:
            await asyncio.sleep(trigger.every)


async def _look(trigger: DatabasePoller, url: str, last: str) -> tuple[Sequence[Row], bool]:
    """Rows, and whether there are more."""
    try:
        connection = await asyncpg.connect(url, timeout=_PATIENCE, command_timeout=_PATIENCE)
    except ValueError:
        raise LookupError(f"the variable {trigger.database} holds no URL of a database") from None  # nor its password
    try:
        async with connection.transaction(readonly=True):
            answer = await connection.cursor(trigger.query, last)
            found: list[Row] = [dict(record) for record in await answer.fetch(_AT_A_LOOK)]
            if len(found) < _AT_A_LOOK:
                return found, False
            while record := await answer.fetchrow():
                further = dict(record)
                if _cursor(trigger, further) != _cursor(trigger, found[-1]):
                    return found, True
                found.append(further)
            return found, False
    finally:
        await connection.close(timeout=_PATIENCE)


def _cursor(trigger: DatabasePoller, row: Row) -> str:
    value = row.get(trigger.cursor)
    if value is None:
        raise LookupError(f"the answer has no column {trigger.cursor!r}, or a row without a value of it")
    return str(value)


def _occurrence(trigger: DatabasePoller, row: Row, at: str, cursor: str | None) -> Occurrence:
    fields = {name: _plain(value) for name, value in row.items()}
    now = datetime.now(UTC)
    values = {
        **{name: "" if value is None else str(value) for name, value in fields.items()},
        "time": now.isoformat(timespec="seconds"),
    }
    id = occurrence_id(trigger.database, msgspec.json.encode(fields, order="sorted"))
    return Occurrence(id, f"the row {at}", now, values, fields=fields, cursor=cursor)


def _plain(value: Any) -> Any:
    """What JSON can hold; everything else as text."""
    match value:
        case None | bool() | int() | str():
            return value
        case float() | Decimal():
            return float(value) if isfinite(value) and Decimal(str(float(value))) == Decimal(str(value)) else str(value)
        case datetime():
            return value.isoformat()
        case list() | tuple():
            return [_plain(each) for each in value]  # pyright: ignore[reportUnknownVariableType]
        case bytes():
            return value.hex()
        case _:
            return str(value)
