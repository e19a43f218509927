"""What is wrong with a command that its own aggregate cannot tell: it takes a library, or the name it goes by."""

from __future__ import annotations

from typing import Any, Final

from domain import automation, record_schema, source
from domain.decider import Refusal
from domain.source import Calendar
from domain.working_time import CalendarUnknown, zone_of
from records.automations.faults import automation_faults
from records.chase.holidays import holidays_of

LOOKED_AT: Final = (automation.Register, source.Register, source.Configure, record_schema.Publish)

_LONGEST_SOURCE: Final = 50
"""The ids of records are made of their source's, those of their sagas and effects of theirs."""


def unsound(id: str, command: Any) -> Refusal | None:
    """With every fault. Some libraries take half a second to import."""
    match command:
        case automation.Register() if found := automation_faults(command):
            return Refusal("automation_invalid", "; ".join(found))
        case source.Register() if len(id) > _LONGEST_SOURCE:
            return Refusal("id_too_long", f"the id of a source has at most {_LONGEST_SOURCE} characters")
        case source.Register() | source.Configure() if found := _calendar_faults(command.calendar):
            return Refusal("calendar_invalid", "; ".join(found))
        case record_schema.Publish(schema) if schema.name != id:
            return Refusal("schema_name_fixed", f"the schema {schema.name!r} cannot be published as {id!r}")
        case _:
            return None


def _calendar_faults(calendar: Calendar) -> list[str]:
    found: list[str] = []
    for check in (zone_of, holidays_of):
        try:
            check(calendar)
        except CalendarUnknown as error:
            found.append(str(error))
    return found
