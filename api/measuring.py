"""The gauges of /metrics, read from the read models when somebody asks."""

from __future__ import annotations

import asyncio
import math
from typing import Final

from api import metrics
from api.services import Services
from projections.figures import accuracies, data_quality
from projections.quality_figures import record_figures

_PATIENCE: Final = 2.0
"""Seconds."""

_QUANTILES: Final = ("0.5", "0.95", "0.99")


async def measure(services: Services) -> None:
    """Gauges are read when somebody asks; what cannot be read keeps its last value."""
    try:
        for status in await asyncio.wait_for(services.models.statuses(), _PATIENCE):
            metrics.PROJECTION_POSITION.labels(status.name).set(status.position)
            metrics.PROJECTION_LAG_EVENTS.labels(status.name).set(status.lag_events)
            metrics.PROJECTION_LAG_SECONDS.labels(status.name).set(status.lag_seconds)
            metrics.LOG_POSITION.set(status.head)
        for status, count in (await services.models.counts("sagas", "status")).items():
            metrics.SAGAS.labels(status).set(count)
        await _measure_models(services)
        await _measure_records(services)
    except Exception:
        return
    metrics.SUBSCRIBERS.set(services.live.subscribers)


async def _measure_models(services: Services) -> None:
    """Versions that are no longer in use are no longer told."""
    known, scores = await accuracies(services.pool), await data_quality(services.pool)
    metrics.ACCURACY.clear()
    metrics.DATA_QUALITY.clear()
    for model, version, environment, value in known:
        metrics.ACCURACY.labels(model, version, environment).set(value)
    for dataset, score in scores:
        metrics.DATA_QUALITY.labels(dataset).set(score)


async def _measure_records(services: Services) -> None:
    found = await record_figures(services.pool)
    for gauge in (metrics.RECORDS, metrics.RECORDS_OF_DOMAIN, metrics.COMPLETENESS, metrics.PROCESSING_SECONDS):
        gauge.clear()
    for platform, status, count in found.platforms:
        metrics.RECORDS.labels(platform, status).set(count)
    for domain in found.domains:
        metrics.RECORDS_OF_DOMAIN.labels(domain.name).set(domain.records)
        if domain.mean_completeness is not None:
            metrics.COMPLETENESS.labels(domain.name).set(domain.mean_completeness)
    for quantile, seconds in zip(_QUANTILES, found.seconds or (), strict=False):
        metrics.PROCESSING_SECONDS.labels(quantile).set(seconds)
    rate = found.follow_ups.answer_rate
    metrics.FOLLOW_UPS_OPEN.set(found.follow_ups.open)
    metrics.ANSWER_RATE.set(math.nan if rate is None else rate)
