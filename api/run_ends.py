"""Waiting for the end of a run, straight from the log."""

from __future__ import annotations

import asyncio
import time
from datetime import datetime
from typing import Any, Final

import msgspec

from api.services import Services
from domain import workflow
from domain.workflow import Value
from eventstore.envelope import Recorded, StreamId

_LOOK: Final = (0.02, 0.25)
"""Seconds between two looks: at first, and once it takes long."""


class RunEnd(msgspec.Struct):
    """How far a run has come; `output` and `seconds` once it is `over`."""

    status: str = "running"
    over: bool = False
    output: Value = Value()
    reason: str | None = None
    cost: float = 0.0
    seconds: float | None = None
    calls: int = 0
    definition_version: int | None = None
    skill_version: str | None = None
    position: int = 0
    version: int = 0
    began: datetime | None = None


async def end_of(services: Services, run: str, patience: float) -> RunEnd:
    """After `patience` seconds, whatever is known by then. Raises LogUnavailable."""
    end, pause, deadline = RunEnd(), _LOOK[0], time.monotonic() + patience
    stream = StreamId(workflow.workflow.category, run)
    while True:
        for event in await services.store.load(stream, after_version=end.version):
            _take(end, event, services.store.decode(event))
        left = deadline - time.monotonic()
        if end.over or left <= 0:
            return end
        await asyncio.sleep(min(pause, left))
        pause = min(pause * 1.5, _LOOK[1])


def _take(end: RunEnd, event: Recorded, data: Any) -> None:
    end.version, end.position = event.version, event.position
    match data:
        case workflow.Started(version=version):
            end.definition_version, end.began = version or None, event.time
        case workflow.Requested(version=version, undo=None):
            end.calls, end.skill_version = end.calls + 1, version
        case workflow.Succeeded(cost=cost) | workflow.Failed(cost=cost):
            end.cost += cost
        case workflow.Completed(output, cost):
            end.output = output
            _over(end, event, "completed", None, cost)
        case workflow.RunFailed(reason, cost=cost):
            _over(end, event, "failed", reason, cost)
        case workflow.Cancelled(reason, cost=cost):
            _over(end, event, "cancelled", reason, cost)
        case _:
            pass


def _over(end: RunEnd, event: Recorded, status: str, reason: str | None, cost: float) -> None:
    end.over, end.status, end.reason, end.cost = True, status, reason, cost
    end.seconds = (event.time - (end.began or event.time)).total_seconds()
