"""An experiment as it goes on, told live, and the evidence as it grows."""

from __future__ import annotations

import asyncio
import re
import sys
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final, Literal, NamedTuple, Protocol

import click
import msgspec
from rich.live import Live
from rich.markup import escape
from rich.progress_bar import ProgressBar
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

from api.links import path_of
from domain import experiment, monitor
from sagacity.cli.connecting import Api, ApiPlace, Problem, open_api
from sagacity.cli.model_lines import event_of, evidence_line, experiment_line
from sagacity.cli.output import console

LOOK: Final = 0.3
"""Seconds between two looks."""

_PASSING: Final = (502, 503, 504)
_ROWS: Final = re.compile(r"(\d+) of (\d+)")
_BAR: Final = 20
"""Characters."""


class HowFar(NamedTuple):
    """`done` rows; it goes on with `total` ones at the latest."""

    done: int
    total: int


async def follow_and_tell(target: ApiPlace, id: str, as_json: bool) -> experiment.Outcome:
    """Until the experiment has ended; how. Raises UserError, also when there is none."""
    async with open_api(target) as api:
        with Screen(as_json) as screen:
            return await followed(api, id, screen)


class Telling(Protocol):
    """What is to be told of an experiment."""

    def event(self, document: Mapping[str, Any], event: experiment.Event | None) -> None:
        """As the API shows it, and as it is known here (None: it is one of a later program)."""
        ...

    def evidence(self, line: str, far: HowFar) -> None:
        """More of it, in the markup of rich."""
        ...

    def waiting(self, line: str, far: HowFar | None = None) -> None:
        """What is waited for at the moment; None: nobody knows how long."""
        ...


async def followed(api: Api, id: str, telling: Telling) -> experiment.Outcome:
    """Tell of the experiment until it has ended; how. A platform that is away for a moment is waited for.

    Raises UserError, also when there is no such experiment.
    """
    following = _Following(api, id, telling)
    while True:
        try:
            ended = await following.look()
        except Problem as problem:
            if problem.status not in _PASSING or not following.version:
                raise
        else:
            if ended is not None:
                return ended
        await asyncio.sleep(LOOK)


class _Following:
    def __init__(self, api: Api, id: str, telling: Telling) -> None:
        self.version = 0
        self._saga_version = 0
        self._api = api
        self._id = id
        self._telling = telling
        self._requested: experiment.Requested | None = None
        self._step: experiment.Step | None = None
        self._rows = 0

    async def look(self) -> experiment.Outcome | None:
        """Tell what is new; how it ended, once it has."""
        page = await self._api.get(f"{path_of('experiment', self._id)}/events", after=self.version)
        for document in page["items"]:
            self.version = document["streamversion"]
            event = event_of(document)
            self._telling.event(document, event)
            match event:
                case experiment.Requested():
                    self._requested = event
                case experiment.StepStarted(step):
                    self._step, self._rows = step, 0
                    self._telling.waiting(step)
                case experiment.Concluded(outcome):
                    return outcome
                case _:
                    pass
        match self._step:
            case "assemble":
                await self._look_at_rows()
            case "shadow" | "watch":
                await self._look_at_evidence(self._step)
            case "train" | "evaluate" | "promote" | None:
                pass

    async def _look_at_rows(self) -> None:
        """What the saga counted when it last looked."""
        path = f"{path_of('saga', f'retraining-{self._id}')}/events"
        page = await _if_there(self._api, path, after=self._saga_version)
        reason: str | None = None
        for document in page["items"] if page else ():
            self._saga_version = document["streamversion"]
            if document["type"] == "saga.step_retried":
                reason = document["data"]["reason"]
        if reason is not None:
            rows = _ROWS.fullmatch(reason)
            far = HowFar(int(rows[1]), int(rows[2])) if rows else None
            self._telling.waiting(f"assemble: {reason}", far)

    async def _look_at_evidence(self, kind: Literal["shadow", "watch"]) -> None:
        if self._requested is None:
            return
        policy = self._requested.policy
        most = policy.gate.labels if kind == "shadow" else policy.watch.labels
        watched = await _if_there(self._api, path_of("monitor", self._requested.model_id))
        if watched is None or watched["comparison"] is None:
            return
        compared = msgspec.convert(watched["comparison"], monitor.Compared)
        rows = compared.judgement.pairs.rows
        if compared.experiment_id == self._id and compared.kind == kind and rows > self._rows:
            self._rows = rows
            self._telling.evidence(evidence_line(kind, compared.judgement), HowFar(rows, most))


async def _if_there(api: Api, path: str, **query: Any) -> Mapping[str, Any] | None:
    """What has only just begun may not be there yet."""
    try:
        return await api.get(path, **query)
    except Problem as problem:
        if problem.status != 404:
            raise
        return None


class Screen:
    """Lines that stay, and below them, for people only, one that changes."""

    def __init__(self, as_json: bool) -> None:
        self._as_json = as_json
        self._console = console()
        self._waiting = ""
        self._people = sys.stdout.isatty() and not as_json
        self._live = Live(console=self._console, transient=True, refresh_per_second=8)

    def __enter__(self) -> Screen:
        if self._people:
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._live.stop()

    def event(self, document: Mapping[str, Any], event: experiment.Event | None) -> None:
        if self._as_json:
            click.echo(msgspec.json.encode(document))
        elif event is not None:
            if isinstance(event, experiment.StepStarted):
                self._waiting = event.step  # the event's own line says so
            time = datetime.fromisoformat(document["time"])
            self._console.print(f"{time:%Y-%m-%d %H:%M:%S}  {experiment_line(event)}")

    def evidence(self, line: str, far: HowFar) -> None:
        if self._people:
            self._live.update(_moving(Text.from_markup(line), far))
        elif not self._as_json:
            self._console.print(f"{'':21}{line}")

    def waiting(self, line: str, far: HowFar | None = None) -> None:
        if self._people:
            self._live.update(_moving(Text(line), far))
        elif not self._as_json and line != self._waiting:
            self._waiting = line
            self._console.print(f"{'':21}{escape(line)}")


def _moving(line: Text, far: HowFar | None) -> Table:
    bar = () if far is None else (ProgressBar(far.total, far.done, _BAR), Text(f"{far.done:,}/{far.total:,}"))
    shown = Table.grid(padding=(0, 1))
    shown.add_row(Spinner("dots"), *bar, line)
    return shown
