"""Moments: of a cron expression by the clock of a time zone, a single one, or one each time an interval is over."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from datetime import UTC, datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo

from cronsim import CronSim

from domain.automation import Scheduler
from records.automations.occurrence import Looked, Occurrence, occurrence_id

_LONGEST_SLEEP: Final = 30.0
"""Seconds: a clock that was set, or a machine that slept, is noticed after so long."""

_AROUND: Final = timedelta(hours=3)
"""Clocks are changed by less."""


def following(cron: str, time_zone: str, after: datetime) -> datetime:
    """The first moment after another one, in UTC. What falls into an hour that the clock leaves out comes right after
    it; what falls into one that it repeats, once (but every so many minutes goes on through both)."""
    return next(CronSim(cron, after.astimezone(ZoneInfo(time_zone)))).astimezone(UTC)


def due(trigger: Scheduler, since: datetime, now: datetime) -> datetime | None:
    """What is to be dealt with next: of the moments that passed since then the last one, or else the first to come.
    None where nothing comes any more."""
    if trigger.at is not None:
        return trigger.at.astimezone(UTC) if trigger.at > since else None
    if trigger.seconds is not None:
        return _interval_over(timedelta(seconds=trigger.seconds), since, now)
    return None if trigger.cron is None else _by_clock(trigger.cron, trigger.time_zone, since, now)


def _interval_over(interval: timedelta, since: datetime, now: datetime) -> datetime:
    """Whole seconds, as cursors are: whoever goes on from one comes to the same moments."""
    begin = since.replace(microsecond=0)
    return begin + max(1, (now - begin) // interval) * interval


def _by_clock(cron: str, time_zone: str, since: datetime, now: datetime) -> datetime:
    moment = following(cron, time_zone, since)
    if moment > now:
        return moment
    before = next(CronSim(cron, now.astimezone(ZoneInfo(time_zone)), reverse=True)).astimezone(UTC)
    moment = following(cron, time_zone, max(since, before - _AROUND))
    while (later := following(cron, time_zone, moment)) <= now:
        moment = later
    return moment


async def occurrences(trigger: Scheduler, since: datetime) -> AsyncGenerator[Occurrence | Looked]:
    """For ever. Of the moments that passed while nobody looked, the last one is caught up with."""
    yield Looked()
    while (moment := await _next(trigger, since)) is not None:
        text = moment.isoformat(timespec="seconds")
        yield Occurrence(occurrence_id(text), text, moment, {"time": text}, cursor=text)
        since = moment
    await asyncio.Event().wait()


async def _next(trigger: Scheduler, since: datetime) -> datetime | None:
    """When it has come."""
    while (moment := due(trigger, since, now := datetime.now(UTC))) is not None and moment > now:
        await asyncio.sleep(min(_LONGEST_SLEEP, (moment - now).total_seconds()))
    return moment
