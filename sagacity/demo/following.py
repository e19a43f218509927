"""A deployment's events as lines, while it runs."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import msgspec

from domain.canary import Judged
from domain.strategy import Canary, Strategy, declared
from eventstore.tasks import end_tasks
from sagacity.demo.lines import QUIET, timeline_line, verdict_line
from sagacity.demo.platform import Platform

Show = Callable[[str, bool], None]
"""A line, and whether it is a verdict."""


async def follow(platform: Platform, id: str, show: Show) -> dict[str, Any]:
    """Show the timeline as it grows; the deployment's final state."""
    ended = asyncio.create_task(platform.ended(id))
    told = 0
    try:
        while True:
            over = ended.done()
            entries = await platform.timeline(id)
            for entry in entries[told:]:
                if entry["type"] == "deployment.judged":
                    show(await _verdict(platform, id, entry["version"]), True)
                elif entry["type"] not in QUIET:
                    show(timeline_line(entry), False)
            told = max(told, len(entries))
            if over:
                return await ended
            await asyncio.sleep(0.1)
    finally:
        await end_tasks(ended)


async def _verdict(platform: Platform, id: str, version: int) -> str:
    judged = msgspec.convert((await platform.event("deployment", id, version))["data"], Judged)
    strategy = declared(msgspec.convert((await platform.deployment(id))["strategy_declared"], Strategy))
    assert isinstance(strategy, Canary), "only canaries are judged"
    return verdict_line(judged, strategy)
