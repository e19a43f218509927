"""Public holidays of a country or one of its parts, for any year."""

from __future__ import annotations

from collections.abc import Container
from datetime import date

from domain.source import Calendar
from domain.working_time import CalendarUnknown


def holidays_of(calendar: Calendar) -> Container[date]:
    """Tells of every date whether it is one; without a country none is. Raises CalendarUnknown."""
    if calendar.country is None:
        return frozenset[date]()
    from holidays import country_holidays  # half a second: not before somebody is asked something

    try:
        return country_holidays(calendar.country, subdiv=calendar.subdivision)
    except NotImplementedError as error:
        part = f" with a part {calendar.subdivision!r}" if calendar.subdivision else ""
        raise CalendarUnknown(f"no holidays are known of a country {calendar.country!r}{part}") from error
