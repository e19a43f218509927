"""Moments of a cron expression."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from datetime import UTC, datetime
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from cronsim import CronSim, CronSimError

from domain.automation import Scheduler
from records.automations.occurrence import Occurrence, occurrence_id


def faults(trigger: Scheduler) -> list[str]:
    """What is wrong with the expression or the zone."""
    found: list[str] = []
    try:
        ZoneInfo(trigger.time_zone)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        found.append(f"there is no time zone {trigger.time_zone!r}")
    try:
        next(CronSim(trigger.cron, datetime.now(UTC)))
    except (CronSimError, StopIteration):
        found.append(f"{trigger.cron!r} is no cron expression, or never comes true")
    return found


def following(trigger: Scheduler, after: datetime) -> datetime:
    """The first moment after another one, in UTC."""
    return next(CronSim(trigger.cron, after.astimezone(ZoneInfo(trigger.time_zone)))).astimezone(UTC)


async def occurrences(trigger: Scheduler, cursor: str | None) -> AsyncGenerator[Occurrence]:
    """For ever, from now on. Of the moments that passed while nobody looked, the last one is caught up with."""
    now = datetime.now(UTC)
    moment = following(trigger, datetime.fromisoformat(cursor) if cursor else now)
    while (later := following(trigger, moment)) <= now:
        moment = later
    while True:
        await asyncio.sleep(max(0.0, (moment - datetime.now(UTC)).total_seconds()))
        text = moment.isoformat(timespec="seconds")
        yield Occurrence(occurrence_id(text), text, moment, {"time": text}, cursor=text)
        moment = following(trigger, moment)
