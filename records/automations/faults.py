"""What is wrong with a rule that only what carries it out can tell."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from domain.automation import DatabasePoller, FileWatcher, ProcessDocument, Register, Scheduler

_PARAMETER: Final = re.compile(r"\$([0-9]+)")
_CRON_FIELDS: Final = 5


def automation_faults(command: Register) -> list[str]:
    """All of them; none when the rule can be carried out."""
    match command.trigger:
        case Scheduler() as trigger:
            found = [*_zone_faults(trigger), *_cron_faults(trigger)]
            if any(isinstance(action, ProcessDocument) for action in command.actions):
                found.append("process_document: a moment is no document")
            return found
        case DatabasePoller() as trigger:
            given = set(_PARAMETER.findall(trigger.query))
            return [] if given == {"1"} else ["query: must have the one parameter $1, the last cursor that was seen"]
        case FileWatcher() as trigger:
            return ["pattern: is of names, not of paths"] if "/" in trigger.pattern else []


def _zone_faults(trigger: Scheduler) -> list[str]:
    try:
        ZoneInfo(trigger.time_zone)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return [f"time_zone: there is no {trigger.time_zone!r}"]
    return []


def _cron_faults(trigger: Scheduler) -> list[str]:
    from cronsim import CronSim, CronSimError

    if len(trigger.cron.split()) != _CRON_FIELDS:
        return [f"cron: {trigger.cron!r} must have {_CRON_FIELDS} fields"]
    try:
        next(CronSim(trigger.cron, datetime.now(UTC)))
    except CronSimError as error:
        return [f"cron: {trigger.cron!r}: {error}"]
    except StopIteration:
        return [f"cron: {trigger.cron!r} never comes true"]
    return []
