"""Hours of work: when so many of them will have passed, and how many lie between two moments.

An hour is an hour that passes: where the clocks are put forward within the hours of work, that day has one less. What
a local time means on such a day is read as RFC 5545 (3.3.5) does: one that is skipped is so much later, and of one
that comes twice work begins with the first and closes with the second.
"""

from __future__ import annotations

from collections.abc import Container, Iterator
from datetime import UTC, date, datetime, time, timedelta
from typing import Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from domain.source import Calendar

FARTHEST: Final = timedelta(days=3_660)
"""Nothing is due later than ten years on, however few the hours of work are."""

_DAY: Final = timedelta(days=1)
_HOUR: Final = timedelta(hours=1)


class CalendarUnknown(ValueError):
    """Its time zone, country or subdivision does not exist."""


def working_deadline(start: datetime, hours: float, calendar: Calendar, holidays: Container[date]) -> datetime:
    """The moment, in UTC, at which `hours` of work have passed since `start`; where they end with the day's work,
    that is when it closes. Raises CalendarUnknown."""
    left = timedelta(hours=hours)
    for opens, closes in _windows(start, calendar, holidays):
        if left <= closes - opens:
            return opens + left
        left -= closes - opens
    return start.astimezone(UTC) + FARTHEST


def working_hours(start: datetime, end: datetime, calendar: Calendar, holidays: Container[date]) -> float:
    """Of work, between the two; 0 where the end comes first. Raises CalendarUnknown."""
    passed, end = timedelta(), end.astimezone(UTC)
    for opens, closes in _windows(start, calendar, holidays):
        if opens >= end:
            break
        passed += min(closes, end) - opens
    return passed / _HOUR


def zone_of(calendar: Calendar) -> ZoneInfo:
    """Raises CalendarUnknown."""
    try:
        return ZoneInfo(calendar.time_zone)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise CalendarUnknown(f"there is no time zone {calendar.time_zone!r}") from error


def _windows(start: datetime, calendar: Calendar, holidays: Container[date]) -> Iterator[tuple[datetime, datetime]]:
    """Hours of work from `start` on, in UTC, in order and apart from each other."""
    zone, at = zone_of(calendar), start.astimezone(UTC)
    end, yesterday = at + FARTHEST, at.astimezone(zone).date() - _DAY
    for day in (yesterday + number * _DAY for number in range(FARTHEST.days + 3)):
        if day.weekday() not in calendar.days or day in holidays:
            continue
        opens, closes = _hours_of(day, calendar, zone)
        # Two days may share hours where a zone has skipped one.
        opens, closes = max(opens, at), min(closes, end)
        if opens < closes:
            yield opens, closes
            at = closes


def _hours_of(day: date, calendar: Calendar, zone: ZoneInfo) -> tuple[datetime, datetime]:
    opens, closes = _local(day, calendar.opens), _local(day, calendar.closes)
    first, second = (closes.replace(tzinfo=zone, fold=fold).astimezone(UTC) for fold in (0, 1))
    return opens.replace(tzinfo=zone).astimezone(UTC), max(first, second)


def _local(day: date, hour: float) -> datetime:
    """By the clock on the wall; 24 is the next day's midnight."""
    return datetime.combine(day, time()) + timedelta(seconds=round(hour * 3_600))
