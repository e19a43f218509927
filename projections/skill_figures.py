"""What execution teaches: how often a skill works, how long it takes and what it costs, by version, step and day."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, NamedTuple

import asyncpg
from msgspec import Struct

if TYPE_CHECKING:
    Pool = asyncpg.Pool[asyncpg.Record]
else:
    Pool = asyncpg.Pool


class SkillFigures(Struct, frozen=True):
    """Of calls that were asked for on one `day` (UTC, by its beginning), without those that only undid others; None
    where it is over all of them. `succeeded`, `failed` and `parked` are calls, `timed_out` and `retried` attempts.
    `seconds` are those of all attempts; the percentiles are of the attempts that succeeded, and exact.

    `success_rate` is of the calls that have succeeded or failed for good; None while there is none."""

    version: str | None
    definition: str | None
    step: str | None
    day: datetime | None
    calls: int
    succeeded: int
    failed: int
    parked: int
    timed_out: int
    retried: int
    seconds: float
    p50: float | None
    p95: float | None
    p99: float | None
    cost: float
    success_rate: float | None


class Wanted(NamedTuple):
    """None: whatever it is. `since` belongs to it, `until` does not."""

    version: str | None = None
    definition: str | None = None
    step: str | None = None
    since: datetime | None = None
    until: datetime | None = None


async def figures_of(pool: Pool, skill: str, wanted: Wanted, limit: int) -> tuple[SkillFigures, Sequence[SkillFigures]]:
    """(all together, by version, definition, step and day: the newest day first)."""
    found = [SkillFigures(*record) for record in await pool.fetch(_FIGURES, skill, *wanted, limit + 1)]
    return found[0], found[1:]


class Experience(NamedTuple):
    """With a skill: calls that succeeded and failed for good, and the median of the seconds of an attempt."""

    succeeded: int
    failed: int
    median: float | None

    @property
    def trust(self) -> float:
        """The chance that the next call succeeds, by Laplace's rule of succession: (s + 1) / (n + 2)."""
        return (self.succeeded + 1) / (self.succeeded + self.failed + 2)


NO_EXPERIENCE = Experience(0, 0, None)


async def experience_of(pool: Pool, skills: Sequence[str]) -> Mapping[str, Experience]:
    """With each of these skills, in the last 30 days; those that were never asked are left out."""
    found: Sequence[Any] = await pool.fetch(_EXPERIENCE, list(skills))
    return {record["skill"]: Experience(record["succeeded"], record["failed"], record["median"]) for record in found}


_FIGURES = """
SELECT call.skill_version, run.definition, call.step, date_trunc('day', call.requested_at, 'UTC') AS day,
    count(*), count(*) FILTER (WHERE call.status = 'succeeded'), count(*) FILTER (WHERE call.status = 'failed'),
    count(*) FILTER (WHERE call.status = 'parked'),
    coalesce(sum(call.timeouts), 0)::bigint, coalesce(sum(greatest(call.attempts - 1, 0)), 0)::bigint,
    coalesce(sum(call.seconds), 0),
    percentile_cont(0.5) WITHIN GROUP (ORDER BY call.attempt_seconds) FILTER (WHERE call.status = 'succeeded'),
    percentile_cont(0.95) WITHIN GROUP (ORDER BY call.attempt_seconds) FILTER (WHERE call.status = 'succeeded'),
    percentile_cont(0.99) WITHIN GROUP (ORDER BY call.attempt_seconds) FILTER (WHERE call.status = 'succeeded'),
    coalesce(sum(call.cost), 0),
    count(*) FILTER (WHERE call.status = 'succeeded')::float
        / nullif(count(*) FILTER (WHERE call.status IN ('succeeded', 'failed')), 0)
FROM workflows.invocations AS call JOIN workflows.workflows AS run ON run.id = call.run
WHERE call.skill = $1 AND call.kind = 'skill' AND call.undo IS NULL
    AND ($2::text IS NULL OR call.skill_version = $2) AND ($3::text IS NULL OR run.definition = $3)
    AND ($4::text IS NULL OR call.step = $4)
    AND ($5::timestamptz IS NULL OR call.requested_at >= $5)
    AND ($6::timestamptz IS NULL OR call.requested_at < $6)
GROUP BY GROUPING SETS ((1, 2, 3, 4), ())
ORDER BY grouping(call.skill_version) DESC, day DESC, 1, 2, 3
LIMIT $7"""

_EXPERIENCE = """
SELECT skill, count(*) FILTER (WHERE status = 'succeeded') AS succeeded,
    count(*) FILTER (WHERE status = 'failed') AS failed,
    percentile_cont(0.5) WITHIN GROUP (ORDER BY attempt_seconds) FILTER (WHERE status = 'succeeded') AS median
FROM workflows.invocations
WHERE skill = ANY($1::text[]) AND kind = 'skill' AND undo IS NULL AND requested_at > now() - interval '30 days'
GROUP BY 1"""
