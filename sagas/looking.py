"""One look at a canary: what the splitter and other sources have counted, told to the deployment for its verdict."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Final

from domain import deployment
from domain.analysis import PrometheusCounters
from domain.canary import Look, Pair
from domain.measurement import Counts, total
from domain.strategy import Canary
from eventstore.envelope import now
from sagas.course import Attempt
from sagas.definition import Done, Perform, Told
from sagas.targets.port import Target

log = logging.getLogger(__name__)

ReadCounters = Callable[[PrometheusCounters], Awaitable[Pair]]
"""Raises MetricUnavailable: then there is no data this time, and no data never passes."""

_WAITING: Final = 10.0
"""Seconds between looks, at least, while a person is waited for."""


class MetricUnavailable(Exception):
    """The source of a metric does not answer as it should."""


async def look(target: Target, attempt: Attempt, what: Perform, read_counters: ReadCounters, *, waiting: bool) -> Done:
    """After the analysis' interval. Raises the errors of the target port."""
    canary = attempt.rollout.canary
    await asyncio.sleep(max(canary.interval, _WAITING) if waiting else canary.interval)
    (epoch, mine, baseline), counters = await asyncio.gather(_arms(target, attempt), _counters(canary, read_counters))
    report = Look(now(), epoch, mine, baseline, counters)
    told = Told(deployment.deployment.category, attempt.rollout.deployment_id, report)
    return Done(what, f"{mine.requests} requests to the canary so far", (told,))


async def _arms(target: Target, attempt: Attempt) -> tuple[str, Counts, Counts]:
    """(epoch, canary, baseline)"""
    reading = await target.measure(attempt.rollout.front)
    compared = attempt.baselines or attempt.replaced()
    mine = total(reading.arms.get(key, Counts()) for key in attempt.starts())
    return reading.epoch, mine, total(reading.arms.get(key, Counts()) for key in compared)


async def _counters(canary: Canary, read: ReadCounters) -> dict[str, Pair]:
    metrics = canary.analysis.measurements if canary.analysis else ()
    sources = {metric.name: metric.prometheus for metric in metrics if metric.prometheus is not None}
    pairs = await asyncio.gather(*(_counter(name, source, read) for name, source in sources.items()))
    return {name: pair for name, pair in zip(sources, pairs, strict=True) if pair is not None}


async def _counter(name: str, source: PrometheusCounters, read: ReadCounters) -> Pair | None:
    try:
        return await read(source)
    except MetricUnavailable as error:
        log.warning("no data of the metric %s: %s", name, error)
        return None
