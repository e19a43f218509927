"""The record of one run, as this process knows it: read, and written to."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final

from domain import workflow
from domain.workflow import Event, Leased, NotStarted, Progressed, Reattempted, Requested, State
from domain.workflow_parts import parts
from eventstore.catalogue import tag_of
from eventstore.envelope import StreamId, recorded
from eventstore.errors import WriteTooLarge
from eventstore.tasks import finished
from sagas.workflows.listening import Delivery
from sagas.workflows.means import Means, Origin

_FEW_EVENTS: Final = 3
"""A write of several events is an atomic batch, which takes the server as long as some six single ones (benchmarks/
append.py): while it has nothing else to do, few events are written one after the other."""
MOST_EVENTS: Final = 400
"""Of one write; what is more is written in parts from each of which on the run comes to the same end."""


_SIGNS: Final = frozenset({tag_of(Leased), tag_of(Progressed)})
_LOOKED_BACK: Final = 100


class History:
    """`state` and `origin` once it `is_known`. `is_certain`: read or written a moment ago, nobody else can have written
    since. `asked`: calls that are on the record since this process has written so, and that it is to begin. `is_torn`:
    the last write has ended between two parts. `is_presumed`: nothing was read yet but its first event."""

    def __init__(self, means: Means, id: str) -> None:
        self._means = means
        self._id = id
        self.stream = StreamId(workflow.workflow.category, id)
        self.state: State = NotStarted()
        self.origin = means.origins.get(id)
        self.is_certain = False
        self.is_torn = False
        self.is_presumed = False
        self.asked: list[str] = []
        self._version = -1
        self._is_doubted = False
        self._beginning: Delivery | None = None

    @property
    def is_known(self) -> bool:
        return self._version >= 0 and not self._is_doubted

    def begin(self, delivery: Delivery) -> None:
        """With its first event: there is nothing else to be read, unless somebody was faster."""
        self._beginning = delivery

    def doubt(self) -> None:
        """It is to be read again. What is being decided meanwhile is written for the version it follows from."""
        self._is_doubted = True
        self._beginning = None
        self.is_certain = False

    async def read(self) -> None:
        """Raises what `Aggregates.load` raises."""
        self._is_doubted = False
        beginning, self._beginning = self._beginning, None
        self.is_presumed = beginning is not None
        if beginning is not None:
            return self._read_beginning(beginning)
        version, self.state = await self._means.aggregates.load(workflow.workflow, self._id, latest=True)
        if self.origin is None and version:
            (first,) = await self._means.store.load(self.stream, limit=1)
            self._keep(Origin.of(first.envelope))
        self._version, self.is_certain = version, True

    def _read_beginning(self, beginning: Delivery) -> None:
        first = recorded(beginning.position, beginning.payload)
        self.state = workflow.evolve(NotStarted(), self._means.store.decode(first))
        self._means.store.heard(first)
        self._keep(Origin.of(first.envelope))
        self._version, self.is_certain = 1, False

    def _keep(self, origin: Origin) -> None:
        self.origin = origin
        self._means.origins.put(self._id, origin)

    async def write(self, events: Sequence[Event], after: State, moment: datetime) -> None:
        """`after` is the state that follows. Raises WrongVersion, LogUnavailable, and WriteTooLarge where what cannot
        be divided is: then what comes before it is written."""
        self.is_torn = False
        alone = len(events) <= _FEW_EVENTS and not self._means.store.under_way
        for part in parts(events, 1 if alone else MOST_EVENTS):
            await self._append(part, moment)
        self.is_torn = False
        self.state = after

    async def _append(self, events: Sequence[Event], moment: datetime) -> None:
        """Halved for as long as it is too large. Not left half-way: whoever is told that this process is gone reads
        what it has written last."""
        assert self.origin is not None
        context = self.origin.context(moment, f"{self.stream}/{self._version}")
        try:
            await finished(self._means.store.append(self.stream, self._version, events, context))
        except WriteTooLarge:
            halves = parts(events, len(events) // 2)
            if len(halves) == 1:
                raise
            for half in halves:
                await self._append(half, moment)
            return
        self._version += len(events)
        self.is_certain, self.is_torn, self.is_presumed = True, True, False
        self.asked += [each.call for each in events if isinstance(each, Requested | Reattempted)]

    async def stands_still(self, moment: datetime) -> timedelta:
        """For how long nothing has come of it by `moment`: that somebody has it in hand is nothing. Raises what
        `EventStore.load` raises."""
        events = await self._means.store.load(self.stream, after_version=max(0, self._version - _LOOKED_BACK))
        steps = [event for event in events if event.type not in _SIGNS]
        return moment - (steps[-1] if steps else events[0]).time

    def forget(self) -> None:
        """It will not be wanted soon."""
        self._means.aggregates.forget(self.stream)
        self._means.origins.drop(self._id)
