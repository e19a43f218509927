"""The events of one stream as they come, told live."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, Final, Generic, TypeVar

import click
import msgspec

from api.links import path_of
from domain.decider import Decider
from sagacity.cli.connecting import Api, Problem, Unreachable
from sagacity.cli.output import console

LOOK: Final = 0.3
"""Seconds between two looks."""

_PATIENCE: Final = 60.0
"""Seconds for which a platform may be away that was there before."""

_PASSING: Final = (502, 503, 504)
_PAGE: Final = 500

S = TypeVar("S")
E = TypeVar("E")


class Following(Generic[S, E]):
    """`state` is what the events so far have made of it. `event_of` gives None for an event of a later program, `line`
    nothing for what is not worth one."""

    def __init__(
        self,
        api: Api,
        decider: Decider[Any, S, E],
        id: str,
        event_of: Callable[[Mapping[str, Any]], E | None],
        line: Callable[[E], str],
        *,
        as_json: bool,
        name: str = "",
    ) -> None:
        self.state = decider.initial
        self._api = api
        self._decider = decider
        self._id = id
        self._event_of = event_of
        self._line = line
        self._as_json = as_json
        self._name = name
        self._version = 0
        self._heard: float | None = None
        self._console = console()

    async def look(self) -> None:
        """Tell what is new since the last look, also where the platform was started again meanwhile. Raises UserError,
        also when there is no such stream, or when nobody has answered for a minute."""
        try:
            while documents := await self._further():
                for document in documents:
                    self._tell(document)
                if len(documents) < _PAGE:
                    break
        except (Problem, Unreachable) as error:
            lasting = isinstance(error, Problem) and error.status not in _PASSING
            if lasting or self._heard is None or time.monotonic() - self._heard > _PATIENCE:
                raise
        else:
            self._heard = time.monotonic()

    async def _further(self) -> list[Mapping[str, Any]]:
        path = f"{path_of(self._decider.category, self._id)}/events"
        return (await self._api.get(path, after=self._version, limit=_PAGE))["items"]

    def _tell(self, document: Mapping[str, Any]) -> None:
        self._version = document["streamversion"]
        event = self._event_of(document)
        if event is not None:
            self.state = self._decider.evolve(self.state, event)
        if self._as_json:
            click.echo(msgspec.json.encode(document))
        elif event is not None and (line := self._line(event)):
            at = datetime.fromisoformat(document["time"])
            self._console.print(f"{at:%Y-%m-%d %H:%M:%S}  {self._name}{line}")
