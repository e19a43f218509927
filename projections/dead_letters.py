"""Calls that are parked: those that a filter takes in, run by run."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import asyncpg

if TYPE_CHECKING:
    Pool = asyncpg.Pool[asyncpg.Record]
else:
    Pool = asyncpg.Pool


class Parked(NamedTuple):
    """Of one run; `whole`: these are all that it has."""

    run: str
    calls: list[str]
    whole: bool


class Chosen(NamedTuple):
    """None: whatever it is."""

    run: str | None = None
    skill: str | None = None
    definition: str | None = None
    calls: Sequence[str] | None = None
    failure: str | None = None


async def parked(pool: Pool, chosen: Chosen, most: int) -> list[Parked]:
    """Of at most so many runs, the ones that have waited longest first."""
    return [Parked(*record) for record in await pool.fetch(_PARKED, *chosen, most)]


_PARKED = """
SELECT call.run, array_agg(call.id ORDER BY call.requested_in), count(*) >= max(run.parked)
FROM workflows.invocations AS call JOIN workflows.workflows AS run ON run.id = call.run
WHERE call.status = 'parked' AND run.ended_at IS NULL
    AND ($1::text IS NULL OR call.run = $1) AND ($2::text IS NULL OR call.skill = $2)
    AND ($3::text IS NULL OR run.definition = $3) AND ($4::text[] IS NULL OR call.id = ANY($4))
    AND ($5::text IS NULL OR call.failure = $5)
GROUP BY 1 ORDER BY min(call.position), 1 LIMIT $6"""
