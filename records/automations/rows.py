"""Rows of somebody else's database, in the order of a column that only grows."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, Mapping
from datetime import UTC, datetime
from typing import Any, Final

import asyncpg

from domain.automation import DatabasePoller
from records.automations.occurrence import Occurrence, occurrence_id

_PATIENCE: Final = 30.0
"""Seconds for one look."""


async def occurrences(trigger: DatabasePoller, url: str, cursor: str | None) -> AsyncGenerator[Occurrence]:
    """For ever, from the row after `cursor`. Raises OSError, asyncpg.PostgresError, and LookupError for an answer
    without the column of the cursor."""
    last = cursor or ""
    while True:
        connection = await asyncpg.connect(url, timeout=_PATIENCE, command_timeout=_PATIENCE)
        try:
            async with connection.transaction(readonly=True):
                found = [dict(record) for record in await connection.fetch(trigger.query, last)]
        finally:
            await connection.close(timeout=_PATIENCE)
        for row in found:
            if trigger.cursor not in row:
                raise LookupError(f"the answer has no column {trigger.cursor!r}")
            last = str(row[trigger.cursor])
            yield _occurrence(row, last)
        await asyncio.sleep(trigger.every)


def _occurrence(row: Mapping[str, Any], cursor: str) -> Occurrence:
    fields = {name: _plain(value) for name, value in row.items()}
    now = datetime.now(UTC)
    values = {**{name: str(value) for name, value in fields.items()}, "time": now.isoformat(timespec="seconds")}
    id = occurrence_id(cursor, json.dumps(fields, sort_keys=True))
    return Occurrence(id, f"the row {cursor}", now, values, fields=fields, cursor=cursor)


def _plain(value: Any) -> Any:
    """What JSON can hold; everything else as text."""
    return value if value is None or isinstance(value, bool | int | float | str) else str(value)
