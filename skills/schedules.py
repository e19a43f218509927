"""When a scheduled skill is at work: the moments of a cron expression, of five fields or six (with seconds), in UTC."""

from __future__ import annotations

from datetime import UTC

from cronsim import CronSim, CronSimError

from domain.skill import Specification
from eventstore.envelope import now


def schedule_fault(specification: Specification) -> str | None:
    if specification.scaling != "scheduled":
        return (
            f"{specification.schedule!r} would never be looked at: scaling is {specification.scaling}, not scheduled"
            if specification.schedule
            else None
        )
    try:
        next(CronSim(specification.schedule, now().astimezone(UTC)))
    except CronSimError as error:
        return f"{specification.schedule!r} names no moment: {error}"
    except StopIteration:
        return f"{specification.schedule!r} names no moment: it never comes true"
    return None
