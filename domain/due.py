"""When a question is reminded of and when its time is over: as it is asked, and after every pause."""

from __future__ import annotations

from collections.abc import Container, Iterable
from datetime import date, datetime, timedelta
from typing import Any, NamedTuple

from msgspec import Struct

from domain import record
from domain.record import Chase
from domain.working_time import working_deadline, working_hours

Holidays = Container[date]


class Schedule(Struct, frozen=True):
    """Without a reminder both are the same."""

    remind_at: datetime
    deadline: datetime


class Standing(NamedTuple):
    """`told` is what the record says, `due` what follows from it and from the pauses since."""

    told: Schedule
    due: Schedule


def reminds(chase: Chase) -> bool:
    """A reminder that would come after the deadline is none."""
    return chase.policy.remind_after < chase.policy.expire_after


def schedule(asked_at: datetime, chase: Chase, holidays: Holidays) -> Schedule:
    """Raises CalendarUnknown."""
    deadline = _after(asked_at, chase.policy.expire_after, chase, holidays)
    if not reminds(chase):
        return Schedule(deadline, deadline)
    return Schedule(_after(asked_at, chase.policy.remind_after, chase, holidays), deadline)


def standing(history: Iterable[tuple[Any, datetime]], number: int, chase: Chase, holidays: Holidays) -> Standing | None:
    """By the record's events with their times, oldest first; None where the question was never asked.

    What was left of its time when it was paused is left when it goes on.
    """
    found: Standing | None = None
    paused_at: datetime | None = None
    for event, time in history:
        match event:
            case record.Asked() | record.Rescheduled() if event.number == number:
                told = Schedule(event.remind_at, event.deadline)
                found = Standing(told, told)
            case record.FollowUpPaused(paused) if paused == number:
                paused_at = time
            case record.FollowUpResumed(resumed) if resumed == number and found and paused_at:
                found = Standing(found.told, _moved(found.due, paused_at, time, chase, holidays))
                paused_at = None
            case _:
                pass
    return found


def _moved(due: Schedule, paused_at: datetime, resumed_at: datetime, chase: Chase, holidays: Holidays) -> Schedule:
    def moved(moment: datetime) -> datetime:
        if moment <= paused_at:
            return moment
        left = _between(paused_at, moment, chase, holidays)
        return _after(resumed_at, left, chase, holidays)

    return Schedule(moved(due.remind_at), moved(due.deadline))


def _after(start: datetime, hours: float, chase: Chase, holidays: Holidays) -> datetime:
    match chase.policy.clock:
        case "work":
            return working_deadline(start, hours, chase.calendar, holidays)
        case "all":
            return start + timedelta(hours=hours)


def _between(start: datetime, end: datetime, chase: Chase, holidays: Holidays) -> float:
    match chase.policy.clock:
        case "work":
            return working_hours(start, end, chase.calendar, holidays)
        case "all":
            return (end - start) / timedelta(hours=1)
