"""What was true at a time, as it was known at a position of the log: an as-of join over the values of features.

Whoever trains on what was known when a prediction had to be made learns nothing from the future.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

import asyncpg

from projections.entities import FeatureValue, feature_values
from projections.rows import row_of


class Moment(NamedTuple):
    """An entity at a time."""

    entity_id: str
    at: datetime


async def values_at(
    pool: asyncpg.Pool[asyncpg.Record], moments: Sequence[Moment], features: Sequence[str], known_at: int
) -> list[dict[str, FeatureValue]]:
    """For each moment the latest value of each feature that has one: of those that were true by then, and on the
    record at position `known_at`."""
    found: list[dict[str, FeatureValue]] = [{} for _ in moments]
    records = await pool.fetch(
        _JOIN, [each.entity_id for each in moments], [each.at for each in moments], list(features), known_at
    )
    for record in records:
        row = dict(record)
        number = row.pop("number")
        value = row_of(feature_values, row)
        found[number - 1][value.feature_name] = value
    return found


_JOIN = """
SELECT asked.number, found.*
FROM unnest($1::text[], $2::timestamptz[]) WITH ORDINALITY AS asked(entity_id, at, number)
CROSS JOIN unnest($3::text[]) AS feature(name)
CROSS JOIN LATERAL (
    SELECT * FROM entities.feature_values AS known
    WHERE known.entity_id = asked.entity_id AND known.feature_name = feature.name
        AND known.timestamp <= asked.at AND known.position <= $4
    ORDER BY known.timestamp DESC, known.position DESC LIMIT 1
) AS found"""
