"""Figures of the models in use, for those who watch from outside."""

from __future__ import annotations

from typing import Literal, NamedTuple

import asyncpg


class Accuracy(NamedTuple):
    """`environment`: on the rows held out of the training, or of the labelled predictions in production."""

    model_id: str
    version: str
    environment: Literal["holdout", "production"]
    value: float


class DataQuality(NamedTuple):
    dataset_id: str
    score: float


async def accuracies(pool: asyncpg.Pool[asyncpg.Record]) -> list[Accuracy]:
    """Of the versions in use."""
    return [Accuracy(*record) for record in await pool.fetch(_ACCURACIES)]


async def data_quality(pool: asyncpg.Pool[asyncpg.Record]) -> list[DataQuality]:
    """Of what the versions in use were trained on."""
    return [DataQuality(*record) for record in await pool.fetch(_QUALITY)]


_ACCURACIES = """
SELECT model_id, version, 'holdout', accuracy FROM models.versions WHERE is_active AND accuracy IS NOT NULL
UNION ALL
SELECT id, model_version, 'production', 1 - error_rate FROM monitors.monitors
WHERE error_rate IS NOT NULL AND model_version IS NOT NULL"""

_QUALITY = """
SELECT id, quality_score FROM datasets.datasets
WHERE id IN (SELECT training_data_ref FROM models.versions WHERE is_active)"""
