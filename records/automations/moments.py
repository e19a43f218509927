"""Moments of a cron expression, by the clock of a time zone."""

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


def following(trigger: Scheduler, after: datetime) -> datetime:
    """The first moment after another one, in UTC. What falls into an hour that the clock leaves out comes right after
    it; what falls into one that it repeats, once (but every so many minutes goes on through both)."""
    return next(CronSim(trigger.cron, after.astimezone(ZoneInfo(trigger.time_zone)))).astimezone(UTC)


def due(trigger: Scheduler, since: datetime, now: datetime) -> datetime:
    """What is to be dealt with next: of the moments that passed since then the last one, or else the first to come."""
    moment = following(trigger, since)
    if moment > now:
        return moment
    before = next(CronSim(trigger.cron, now.astimezone(ZoneInfo(trigger.time_zone)), reverse=True)).astimezone(UTC)
    moment = following(trigger, max(since, before - _AROUND))
    while (later := following(trigger, moment)) <= now:
        moment = later
    return moment


async def occurrences(trigger: Scheduler, since: datetime) -> AsyncGenerator[Occurrence | Looked]:
    """For ever. Of the moments that passed while nobody looked, the last one is caught up with."""
    yield Looked()
    while True:
        while (moment := due(trigger, since, now := datetime.now(UTC))) > now:
            await asyncio.sleep(min(_LONGEST_SLEEP, (moment - now).total_seconds()))
        text = moment.isoformat(timespec="seconds")
        yield Occurrence(occurrence_id(text), text, moment, {"time": text}, cursor=text)
        since = moment
