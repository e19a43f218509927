"""Where the chapters on workflows play, and a run as it is told while it goes on."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, NamedTuple, TypeVar

import httpx
import yaml

from domain import workflow
from sagacity.cli.workflow_lines import event_of, run_line
from sagacity.demo.platform import Platform
from sagacity.demo.story import Tell

DEFINITIONS: Final = Path(__file__).parent / "definitions"
_LOOK: Final = 0.1
_PAGE: Final = 500
_ALIKE: Final = 4
"""Lines of one kind within a step; of the rest, how many there are is told."""
_PATIENCE: Final = 120.0
"""Seconds."""

_ENDS: Final = (workflow.Completed, workflow.RunFailed, workflow.Cancelled)
_T = TypeVar("_T")

Show = Callable[[str, bool], None]


class Team(NamedTuple):
    """Where the chapter plays; `code` is the directory that is looked at."""

    platform: Platform
    client: httpx.AsyncClient
    code: Path
    run: str
    tell: Tell
    show: Show

    async def start(self, definition: str, code: Path) -> str:
        """Publish it, and begin a run of it that looks at this directory; the id of the run."""
        name = f"{definition}_{self.run}"
        document = yaml.safe_load((DEFINITIONS / f"{definition}.yaml").read_text())
        await self.platform.command("workflow_definition.publish", name, {"definition": document})
        grants = {"network": False, "read": [str(code)]}
        id = f"{name}_1"
        await self.platform.command(
            "workflow.start", id, {"definition": name, "input": {"path": str(code)}, "grants": grants}
        )
        return id

    async def get(self, path: str, **query: Any) -> httpx.Response:
        answer = await self.client.get(f"/api/v1/workflows/{path}", params={"wait": 30, **query})
        answer.raise_for_status()
        return answer


class Told(NamedTuple):
    """What a run has come to: its events, and where the last one stands, in the log and in its own history."""

    events: list[workflow.Event]
    position: int
    version: int

    def all(self, kind: type[_T]) -> list[_T]:
        return [event for event in self.events if isinstance(event, kind)]

    @property
    def completed(self) -> bool:
        return bool(self.all(workflow.Completed))

    @property
    def questions(self) -> list[str]:
        """What people were asked."""
        return [each.question for each in self.all(workflow.StepStarted) if each.question]


class Lines:
    """Of the many calls of a step the first ones are shown, and then how many there are."""

    def __init__(self, show: Callable[[str], None]) -> None:
        self._show = show
        self._alike: Counter[type[workflow.Event]] = Counter()

    def add(self, event: workflow.Event, line: str) -> None:
        if isinstance(event, workflow.StepStarted | workflow.StepCompleted):
            self.end()
        self._alike[type(event)] += 1
        if self._alike[type(event)] <= _ALIKE:
            self._show(line)

    def end(self) -> None:
        for kind, number in self._alike.items():
            if number > _ALIKE:
                self._show(f"… {number - _ALIKE} more: {kind.__name__.lower()}")
        self._alike.clear()


async def followed(team: Team, id: str, after: Told | None = None) -> Told:
    """Show what happens in a run until it is over, or asks a person. Raises TimeoutError."""
    told = after or Told([], 0, 0)
    lines = Lines(lambda line: team.show(line.replace(f"{id}-", "#"), False))
    async with asyncio.timeout(_PATIENCE):
        while True:
            new = await _since(team, id, told)
            for event in new.events:
                if not isinstance(event, workflow.Progressed) and (line := run_line(event)):
                    lines.add(event, line)
            told = Told(told.events + new.events, new.position, new.version)
            if new.questions or any(isinstance(event, _ENDS) for event in new.events):
                lines.end()
                return told
            await asyncio.sleep(_LOOK)


async def _since(team: Team, id: str, told: Told) -> Told:
    page = (await team.get(f"{id}/events", after=told.version, limit=_PAGE)).json()["items"]
    events = [event for event in map(event_of, page) if event is not None]
    return Told(events, page[-1]["position"] if page else told.position, told.version + len(page))
