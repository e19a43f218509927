"""Runs every automation that is on the record, each in a task of its own, from where its stream says it stands.

Any number of processes may run one each: whatever occurs is dealt with at least once, and leaves on the record what
it would have left if it had been dealt with just once.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import AsyncGenerator
from datetime import datetime
from typing import Final, NamedTuple, Protocol

import msgspec

from domain import automation, command
from domain.automation import DatabasePoller, FileWatcher, Known, Scheduler
from eventstore.envelope import Recorded, StreamId
from eventstore.keeping_up import keep_up
from eventstore.store import EventStore
from eventstore.tasks import end_tasks
from records.automations import files, moments, rows
from records.automations.acting import Actions
from records.automations.occurrence import Occurrence, occurrence_id

log = logging.getLogger(__name__)

_CATEGORY: Final = automation.automation.category
_PAUSE: Final = 0.5
_LONGEST_PAUSE: Final = 60.0
"""Seconds."""


class Report(Protocol):
    """Gives a command from within, with an id of its own. Raises LogUnavailable."""

    async def __call__(self, category: str, id: str, command: msgspec.Struct, command_id: str) -> str | None: ...


class _Standing(NamedTuple):
    """`since` is when the rule came into force, or was resumed."""

    known: Known
    since: datetime


class Automations:
    """`run` is to be running. `ready` is set once all that are on the record are known."""

    def __init__(self, store: EventStore, actions: Actions, report: Report) -> None:
        self._store = store
        self._actions = actions
        self._report = report
        self._known: dict[str, _Standing] = {}
        self._running: dict[str, tuple[Known, asyncio.Task[None]]] = {}
        self.ready = asyncio.Event()

    async def run(self) -> None:
        """Until cancelled, whatever becomes of the log."""
        try:
            await keep_up(self._store, _CATEGORY, self._take, self._start)
        finally:
            await end_tasks(*(task for _, task in self._running.values()))

    def _take(self, event: Recorded) -> None:
        standing = self._known.get(event.stream.id)
        before = standing.known if standing else automation.Unknown()
        data: automation.Event = self._store.decode(event)
        state = automation.evolve(before, data)
        if isinstance(state, Known):
            since = event.time if standing is None or _begins(data, before) else standing.since
            self._known[event.stream.id] = _Standing(state, since)

    async def _start(self) -> None:
        """Those that are to run and do not, or run as they were before they were changed."""
        for id, (known, _) in self._known.items():
            running, task = self._running.get(id, (None, None))
            same = running is not None and (running.trigger, running.actions) == (known.trigger, known.actions)
            if task is not None and (not known.active or not same):
                await end_tasks(task)
                del self._running[id]
            if known.active and id not in self._running:
                self._running[id] = known, asyncio.create_task(self._keep_running(id))
        self.ready.set()

    async def _keep_running(self, id: str) -> None:
        pause, told = _PAUSE, ""
        while True:
            began = time.monotonic()
            try:
                await self._watch(id)
            except Exception as error:
                if time.monotonic() - began > _LONGEST_PAUSE:
                    pause, told = _PAUSE, ""
                if told != str(error):
                    log.error("the automation %s is interrupted: %s: %s", id, type(error).__name__, error)
                    told = str(error)
            await asyncio.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE)

    async def _watch(self, id: str) -> None:
        """For ever. Raises whatever keeps the rule from being carried out now."""
        standing = self._known[id]
        async with contextlib.aclosing(self._occurrences(standing)) as occurred:
            async for each in occurred:
                await self._deal_with(id, standing.known, each)

    def _occurrences(self, standing: _Standing) -> AsyncGenerator[Occurrence]:
        known, since = standing
        match known.trigger:
            case FileWatcher() as trigger:
                return files.occurrences(trigger)
            case DatabasePoller() as trigger:
                url = self._actions.variables.get(trigger.database)
                if not url:
                    raise LookupError(f"the variable {trigger.database} is not set")
                return rows.occurrences(trigger, url, known.cursor)
            case Scheduler() as trigger:
                last = datetime.fromisoformat(known.cursor) if known.cursor else since
                return moments.occurrences(trigger, max(since, last))

    async def _deal_with(self, id: str, known: Known, occurred: Occurrence) -> None:
        fire_id = f"fire-{occurrence_id(id, occurred.id)}"
        if occurred.id in self._known[id].known.latest or await self._is_recorded(fire_id):
            return
        carried = [
            await self._actions.carry_out(id, number, action, occurred)
            for number, action in enumerate(known.actions, 1)
        ]
        fire = automation.Fire(occurred.id, occurred.what[:1_000], tuple(carried), occurred.cursor, known.triggers)
        refused = await self._report(_CATEGORY, id, fire, fire_id)
        if refused is not None:
            log.error("what the automation %s did is not on the record: %s", id, refused)

    async def _is_recorded(self, command_id: str) -> bool:
        return bool(await self._store.load(StreamId(command.CATEGORY, command_id), latest=True))


def _begins(event: automation.Event, before: automation.State) -> bool:
    """Whether moments count from now on."""
    match event:
        case automation.Registered(trigger=trigger):
            return not isinstance(before, Known) or before.removed or before.trigger != trigger
        case automation.Resumed():
            return True
        case automation.Paused() | automation.Removed() | automation.Fired():
            return False
