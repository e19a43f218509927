"""Where the chapters on workflows play, and a run as it is told while it goes on."""

from __future__ import annotations

import asyncio
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

    async def start(self, definition: str) -> str:
        """Publish it, and begin a run of it; the id of the run."""
        name = f"{definition}_{self.run}"
        document = yaml.safe_load((DEFINITIONS / f"{definition}.yaml").read_text())
        await self.platform.command("workflow_definition.publish", name, {"definition": document})
        grants = {"network": False, "read": [str(self.code)]}
        id = f"{name}_1"
        await self.platform.command(
            "workflow.start", id, {"definition": name, "input": {"path": str(self.code)}, "grants": grants}
        )
        return id

    async def get(self, path: str, **query: Any) -> httpx.Response:
        answer = await self.client.get(f"/api/v1/workflows/{path}", params={"wait": 30, **query})
        answer.raise_for_status()
        return answer


class Told(NamedTuple):
    """What a run has come to: its events, and the position of the last one in the log."""

    events: list[workflow.Event]
    position: int

    def all(self, kind: type[_T]) -> list[_T]:
        return [event for event in self.events if isinstance(event, kind)]

    @property
    def completed(self) -> bool:
        return bool(self.all(workflow.Completed))

    @property
    def questions(self) -> list[str]:
        """What people were asked."""
        return [each.question for each in self.all(workflow.StepStarted) if each.question]


async def followed(team: Team, id: str, after: Told | None = None) -> Told:
    """Show what happens in a run until it is over, or asks a person. Raises TimeoutError."""
    told = len(after.events) if after is not None else 0
    async with asyncio.timeout(_PATIENCE):
        while True:
            documents = await team.platform.history("workflow", id)
            events = [event for event in map(event_of, documents) if event is not None]
            for event in events[told:]:
                if not isinstance(event, workflow.Progressed) and (line := run_line(event)):
                    team.show(line.replace(f"{id}-", "#"), False)
            new = Told(events[told:], documents[-1]["position"])
            if new.questions or any(isinstance(event, _ENDS) for event in new.events):
                return Told(events, new.position)
            told = len(events)
            await asyncio.sleep(_LOOK)
