"""Runs every automation that is on the record, each in a task of its own, from where its stream says it stands.

Any number of processes may run one each: whatever occurs is dealt with at least once, and leaves on the record what
it would have left if it had been dealt with just once.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncGenerator, Sequence
from typing import Final, Protocol

import msgspec
from nats.errors import Error as NatsError

from domain import automation, command
from domain.automation import DatabasePoller, FileWatcher, Known, Scheduler
from eventstore.envelope import Recorded, StreamId
from eventstore.errors import EventStoreError
from eventstore.store import EventStore
from eventstore.tasks import end_tasks
from records.automations import files, moments, rows
from records.automations.acting import Actions
from records.automations.occurrence import Occurrence

log = logging.getLogger(__name__)

_CATEGORY: Final = automation.automation.category
_PAUSE: Final = 0.5
_LONGEST_PAUSE: Final = 60.0
"""Seconds."""


class Report(Protocol):
    """Gives a command from within, with an id of its own. Raises LogUnavailable."""

    async def __call__(self, category: str, id: str, command: msgspec.Struct, command_id: str) -> str | None: ...


class Automations:
    """`run` is to be running. `ready` is set once all that are on the record are known."""

    def __init__(self, store: EventStore, actions: Actions, report: Report) -> None:
        self._store = store
        self._actions = actions
        self._report = report
        self._position = 0
        self._known: dict[str, Known] = {}
        self._running: dict[str, tuple[Known, asyncio.Task[None]]] = {}
        self.ready = asyncio.Event()

    async def run(self) -> None:
        """Until cancelled, whatever becomes of the log."""
        told = ""
        try:
            while True:
                try:
                    while page := await self._store.read(self._position, category=_CATEGORY):
                        self._take(page)
                    await self._start()
                    self.ready.set()
                    async with self._store.follow(self._position, categories=[_CATEGORY]) as feed:
                        async for batch in feed.batches():
                            self._take(batch)
                            await self._start()
                except (EventStoreError, NatsError, OSError) as error:
                    if told != str(error):
                        log.error("automations are not heard of: %s", error)
                        told = str(error)
                await asyncio.sleep(_PAUSE)
        finally:
            await end_tasks(*(task for _, task in self._running.values()))

    def _take(self, events: Sequence[Recorded]) -> None:
        for event in events:
            before = self._known.get(event.stream.id, automation.Unknown())
            state = automation.evolve(before, self._store.decode(event))
            if isinstance(state, Known):
                self._known[event.stream.id] = state
            self._position = event.position

    async def _start(self) -> None:
        """Those that are to run and do not, or run as they were before they were changed."""
        for id, known in self._known.items():
            running, task = self._running.get(id, (None, None))
            same = running is not None and (running.trigger, running.actions) == (known.trigger, known.actions)
            if task is not None and (not known.active or not same):
                await end_tasks(task)
                del self._running[id]
            if known.active and id not in self._running:
                self._running[id] = known, asyncio.create_task(self._keep_running(id))

    async def _keep_running(self, id: str) -> None:
        pause, told = _PAUSE, ""
        while True:
            try:
                await self._watch(id)
            except Exception as error:
                if told != str(error):
                    log.error("the automation %s is interrupted: %s: %s", id, type(error).__name__, error)
                    told = str(error)
            await asyncio.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE)

    async def _watch(self, id: str) -> None:
        known = self._known[id]
        async with contextlib.aclosing(self._occurrences(known)) as occurred:
            async for each in occurred:
                await self._deal_with(id, known, each)

    def _occurrences(self, known: Known) -> AsyncGenerator[Occurrence]:
        match known.trigger:
            case FileWatcher() as trigger:
                return files.occurrences(trigger)
            case DatabasePoller() as trigger:
                url = self._actions.variables.get(trigger.database)
                if not url:
                    raise LookupError(f"the variable {trigger.database} is not set")
                return rows.occurrences(trigger, url, known.cursor)
            case Scheduler() as trigger:
                return moments.occurrences(trigger, known.cursor)

    async def _deal_with(self, id: str, known: Known, occurred: Occurrence) -> None:
        fire_id = f"fire-{id[:60]}-{occurred.id}"
        if occurred.id in self._known[id].latest or await self._store.load(StreamId(command.CATEGORY, fire_id)):
            return
        carried = [
            await self._actions.carry_out(id, number, action, occurred)
            for number, action in enumerate(known.actions, 1)
        ]
        fire = automation.Fire(occurred.id, occurred.what[:1_000], tuple(carried), occurred.cursor)
        await self._report(_CATEGORY, id, fire, fire_id)
