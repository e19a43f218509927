"""Quality in sum: what is complete, what is missing most, which sources are worst, which questions are open."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, NamedTuple

import asyncpg
from msgspec import Struct

if TYPE_CHECKING:
    Pool = asyncpg.Pool[asyncpg.Record]
else:
    Pool = asyncpg.Pool


_MOST_DOMAINS = 100


class Share(Struct, frozen=True):
    """Of one source or domain, without what was dismissed or only answers a question. Means are over the records that
    were scored by a schema."""

    name: str
    records: int
    scored: int
    complete: int
    mean_score: float | None
    mean_completeness: float | None
    mean_validity: float | None


class MissingField(Struct, frozen=True):
    """How many records of a domain lack a field now."""

    domain: str
    path: str
    records: int


class FollowUpFigures(Struct, frozen=True):
    """`answer_rate`: of the questions that are over, the share that was answered in time; None while none is over."""

    asked: int
    open: int
    overdue: int
    responded: int
    timeout: int
    answer_rate: float | None


class RecordFigures(NamedTuple):
    """`platforms` are (platform, status, records); `seconds` the median and the 95th and 99th percentile of the time
    from received to scored, of the records of the last hour: None when there was none."""

    platforms: list[tuple[str, str, int]]
    domains: list[Share]
    follow_ups: FollowUpFigures
    seconds: list[float] | None


class Overview(Struct, frozen=True):
    """`status` are records by status, `flags` records by the kind of a flag, without those that were dismissed."""

    records: int
    status: dict[str, int]
    flags: dict[str, int]
    domains: list[Share]
    sources: list[Share]
    missing: list[MissingField]
    follow_ups: FollowUpFigures


class Trend(Struct, frozen=True):
    """One day (UTC, by its beginning) of one source and domain: the last scoring of that day of each record."""

    day: datetime
    source: str
    domain: str
    records: int
    mean_score: float
    mean_completeness: float
    mean_validity: float


async def overview(pool: Pool, *, worst: int = 10) -> Overview:
    """`worst`: how many sources and missing fields are named, the worst first."""
    status = {record["status"]: record["n"] for record in await pool.fetch(_STATUS)}
    flags = {record["kind"]: record["n"] for record in await pool.fetch(_FLAGS)}
    domains, sources = await _domains(pool), await worst_sources(pool, worst)
    missing = [MissingField(*record) for record in await pool.fetch(_MISSING, worst)]
    return Overview(sum(status.values()), status, flags, domains, sources, missing, await _follow_ups(pool))


async def record_figures(pool: Pool) -> RecordFigures:
    """For those who watch from outside."""
    platforms = [(record[0], record[1], record[2]) for record in await pool.fetch(_PLATFORMS)]
    seconds = await pool.fetchval(_SECONDS)
    return RecordFigures(platforms, await _domains(pool), await _follow_ups(pool), seconds)


async def worst_sources(pool: Pool, limit: int) -> list[Share]:
    """Those with the lowest mean score first; those without any score last."""
    return [Share(*record) for record in await pool.fetch(_SHARES.format(by="source"), limit)]


async def _domains(pool: Pool) -> list[Share]:
    return [Share(*record) for record in await pool.fetch(_SHARES.format(by="domain"), _MOST_DOMAINS)]


async def _follow_ups(pool: Pool) -> FollowUpFigures:
    return FollowUpFigures(*(await pool.fetchrow(_FOLLOW_UPS) or ()))


async def trends(pool: Pool, since: datetime, source: str | None, domain: str | None, limit: int) -> Sequence[Trend]:
    """Oldest day first."""
    return [Trend(*record) for record in await pool.fetch(_TRENDS, since, source, domain, limit)]


async def open_follow_ups(pool: Pool, after: tuple[datetime, str] | None, source: str | None, limit: int) -> list[Any]:
    """Questions that are waited for, by their deadline; `after` is (deadline, id) of the last one of a page before."""
    moment, id = after or (None, None)
    return list(await pool.fetch(_OPEN, source, moment, id, limit))


_STATUS = "SELECT status, count(*) AS n FROM records.records GROUP BY 1 ORDER BY 1"

_PLATFORMS = "SELECT platform, status, count(*) FROM records.records GROUP BY 1, 2"

_SECONDS = """
SELECT percentile_cont(ARRAY[0.5, 0.95, 0.99]) WITHIN GROUP (ORDER BY processing_seconds)
FROM records.records WHERE received_at > now() - interval '1 hour' AND processing_seconds IS NOT NULL"""

_FLAGS = """
SELECT flag ->> 'kind' AS kind, count(DISTINCT id) AS n
FROM records.records, jsonb_array_elements(flags) AS flag
WHERE status <> 'dismissed' GROUP BY 1 ORDER BY 2 DESC, 1"""

_SHARES = """
SELECT coalesce({by}, 'unknown') AS name, count(*), count(score) FILTER (WHERE schema_version > 0),
    count(*) FILTER (WHERE status = 'completed'),
    avg(score) FILTER (WHERE schema_version > 0), avg(completeness) FILTER (WHERE schema_version > 0),
    avg(validity) FILTER (WHERE schema_version > 0)
FROM records.records WHERE status NOT IN ('answer', 'dismissed') GROUP BY 1 ORDER BY 5 ASC NULLS LAST, 1 LIMIT $1"""

_MISSING = """
SELECT domain, path, count(*) AS n
FROM records.records, jsonb_array_elements_text(missing) AS path
WHERE domain IS NOT NULL AND status <> 'dismissed' GROUP BY 1, 2 ORDER BY 3 DESC, 1, 2 LIMIT $1"""

_FOLLOW_UPS = """
SELECT count(*) FILTER (WHERE sent_at IS NOT NULL),
    count(*) FILTER (WHERE status IN ('requested', 'sent', 'paused')),
    count(*) FILTER (WHERE status = 'sent' AND deadline < now()),
    count(*) FILTER (WHERE status = 'responded'),
    count(*) FILTER (WHERE status = 'timeout'),
    count(*) FILTER (WHERE status = 'responded')::float
        / nullif(count(*) FILTER (WHERE status IN ('responded', 'timeout')), 0)
FROM records.follow_ups"""

_TRENDS = """
SELECT day, source, domain, count(*), avg(score), avg(completeness), avg(validity) FROM (
    SELECT DISTINCT ON (record_id, day) date_trunc('day', time, 'UTC') AS day, source, domain, score, completeness,
        validity
    FROM data_quality_tracking.scorings
    WHERE time >= $1 AND ($2::text IS NULL OR source = $2) AND ($3::text IS NULL OR domain = $3)
    ORDER BY record_id, day, position DESC) AS last
GROUP BY 1, 2, 3 ORDER BY 1, 2, 3 LIMIT $4"""

_OPEN = """
SELECT * FROM records.follow_ups
WHERE deadline IS NOT NULL AND ($1::text IS NULL OR source = $1)
    AND ($2::timestamptz IS NULL OR (deadline, id) > ($2, $3))
ORDER BY deadline, id LIMIT $4"""
