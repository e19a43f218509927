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
from nats.errors import Error as NatsError

from domain import automation, command
from domain.automation import Carried, DatabasePoller, FileWatcher, Known, Scheduler
from domain.event_trigger import EventTrigger
from eventstore.envelope import Recorded, StreamId, new_id
from eventstore.errors import EventStoreError, LogUnavailable
from eventstore.keeping_up import keep_up
from eventstore.store import EventStore
from eventstore.tasks import end_tasks, first_to_end
from records.automations import files, moments, rows
from records.automations.acting import Actions
from records.automations.events import EventRule
from records.automations.giving import Behalf, behalf_of
from records.automations.listening import Listening
from records.automations.occurrence import Looked, Occurrence, Repeated, occurrence_id

log = logging.getLogger(__name__)

_CATEGORY: Final = automation.automation.category
_PAUSE: Final = 0.5
_LONGEST_PAUSE: Final = 60.0
"""Seconds."""
_REASON: Final = 1_000


class Report(Protocol):
    """Gives a command from within, with an id of its own. Raises LogUnavailable."""

    async def __call__(
        self, category: str, id: str, command: msgspec.Struct, command_id: str, behalf: Behalf
    ) -> str | None: ...


class _Standing(NamedTuple):
    """`since` is when the rule came into force, or was resumed; `position` where in the log it came into force."""

    known: Known
    since: datetime
    position: int


class Automations:
    """`run` is to be running. `ready` is set once all that are on the record are known."""

    def __init__(self, store: EventStore, actions: Actions, report: Report) -> None:
        self._store = store
        self._actions = actions
        self._report = report
        self._listening = Listening(store)
        self._known: dict[str, _Standing] = {}
        self._running: dict[str, tuple[Known, asyncio.Task[None]]] = {}
        self.ready = asyncio.Event()

    async def run(self) -> None:
        """Until cancelled, whatever becomes of the log."""
        try:
            await first_to_end(keep_up(self._store, _CATEGORY, self._take, self._start), self._listening.run())
        finally:
            await end_tasks(*(task for _, task in self._running.values()))

    def _take(self, event: Recorded) -> None:
        standing = self._known.get(event.stream.id)
        before = standing.known if standing else automation.Unknown()
        data: automation.Event = self._store.decode(event)
        state = automation.evolve(before, data)
        if isinstance(state, Known):
            begins = isinstance(data, automation.Registered) and _begins(data, before)
            since = event.time if standing is None or begins or isinstance(data, automation.Resumed) else standing.since
            position = event.position if standing is None or begins else standing.position
            self._known[event.stream.id] = _Standing(state, since, position)

    async def _start(self) -> None:
        """Those that are to run and do not, or run as they were before they were changed."""
        for id, (known, _, _) in self._known.items():
            running, task = self._running.get(id, (None, None))
            if task is not None and (not known.active or running is None or _does(running) != _does(known)):
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
                    await self._stumble(id, error)
            await asyncio.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE)

    async def _watch(self, id: str) -> None:
        """For ever. Raises whatever keeps the rule from being carried out now."""
        standing = self._known[id]
        async with contextlib.aclosing(self._occurrences(id, standing)) as occurred:
            async for each in occurred:
                match each:
                    case Occurrence():
                        await self._deal_with(id, standing.known, each)
                    case Repeated():
                        await self._warn(id)
                    case Looked():
                        await self._go_on(id, standing.known, each)

    async def _go_on(self, id: str, known: Known, looked: Looked) -> None:
        if looked.cursor is not None:
            await self._say(id, automation.Reach(looked.cursor, known.triggers))
        if looked.all and self._known[id].known.can_recover:
            await self._say(id, automation.Recover())

    async def _warn(self, id: str) -> None:
        """On the record once, until the rule is changed."""
        if self._known[id].known.trouble != automation.SETS_ITSELF_OFF:
            log.error("the automation %s: %s", id, automation.SETS_ITSELF_OFF)
            await self._say(id, automation.Stumble(automation.SETS_ITSELF_OFF))

    def _occurrences(self, id: str, standing: _Standing) -> AsyncGenerator[Occurrence | Repeated | Looked]:
        known, since, position = standing
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
            case EventTrigger() as trigger:
                rule = EventRule(id, trigger, self._store, self._actions.aggregates, self._listening)
                return rule.occurrences(max(position, int(known.cursor or 0)))

    async def _deal_with(self, id: str, known: Known, occurred: Occurrence) -> None:
        fire_id = f"fire-{occurrence_id(id, occurred.id)}"
        if occurred.id in self._known[id].known.latest or await self._is_recorded(fire_id):
            return
        carried = await self._carry_out(id, known, occurred)
        fire = automation.Fire(occurred.id, occurred.what[:1_000], tuple(carried), occurred.cursor, known.triggers)
        refused = await self._report(_CATEGORY, id, fire, fire_id, behalf_of(id, occurred.cause))
        if refused is not None:
            log.error("what the automation %s did is not on the record: %s", id, refused)

    async def _carry_out(self, id: str, known: Known, occurred: Occurrence) -> list[Carried]:
        """In the order of the actions, also where they go on together."""
        acts = [self._actions.carry_out(id, number, each, occurred) for number, each in enumerate(known.actions, 1)]
        if not known.parallel:
            return [await act for act in acts]
        tasks = [asyncio.ensure_future(act) for act in acts]
        try:
            return await asyncio.gather(*tasks)
        finally:
            await end_tasks(*tasks)

    async def _stumble(self, id: str, error: Exception) -> None:
        """On the record once for each reason. That the log is away nobody could put there."""
        reason = " ".join(f"{type(error).__name__}: {error}".split())[:_REASON]
        if isinstance(error, LogUnavailable | NatsError) or self._known[id].known.trouble == reason:
            return
        try:
            await self._say(id, automation.Stumble(reason))
        except (EventStoreError, NatsError, OSError) as unsaid:
            log.warning("that the automation %s is interrupted is not on the record: %s", id, unsaid)

    async def _say(self, id: str, what: automation.Reach | automation.Stumble | automation.Recover) -> None:
        refused = await self._report(_CATEGORY, id, what, f"automation-{new_id()}", behalf_of(id, None))
        if refused is not None:
            log.error("what is to be said of the automation %s is not on the record: %s", id, refused)

    async def _is_recorded(self, command_id: str) -> bool:
        return bool(await self._store.load(StreamId(command.CATEGORY, command_id), latest=True))


def _does(known: Known) -> automation.Registered:
    return automation.Registered("", known.trigger, known.actions, known.parallel)


def _begins(event: automation.Registered, before: automation.State) -> bool:
    """Whether what occurs counts from now on only."""
    return not isinstance(before, Known) or before.removed or before.trigger != event.trigger
