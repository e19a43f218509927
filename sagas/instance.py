"""One saga under way: ask the plan, perform, record, ask again, until it waits for somebody else or has ended."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import deque
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final, Protocol

from domain import saga
from eventstore.catalogue import tag_of
from eventstore.envelope import Context, Recorded, StreamId, now
from eventstore.errors import LogUnavailable, WriteTooLarge, WrongVersion
from eventstore.store import EventStore, StreamWrite
from eventstore.tasks import end_tasks
from sagas.definition import (
    Decision,
    Heard,
    Outcome,
    Perform,
    Refused,
    SagaDefinition,
    Stumbled,
    TimedOut,
    Told,
)
from sagas.timers import FARTHEST, Clock, Due, drop_timers, set_timer

log = logging.getLogger(__name__)

_SOON: Final = 0.2


class Refusals(Exception):
    """An aggregate refused a saga's command; nothing of the decision was written."""

    def __init__(self, name: str, reason: str) -> None:
        super().__init__(f"{name}: {reason}")
        self.refused = Refused(name, reason)


class Tell(Protocol):
    """Hands commands to their aggregates, in one atomic write with the saga's own events.

    `ids` are deterministic: the same decision in the same state gives the same commands. Raises Refusals, or
    WrongVersion when the saga's stream has moved on, WriteTooLarge (nothing is written), or LogUnavailable.
    """

    async def __call__(
        self, commands: Sequence[Told], ids: Sequence[str], also: StreamWrite, context: Context
    ) -> None: ...


class Instance:
    """Drives one saga. `give` hands it an input; `finished` is set when nothing is left to do for now."""

    def __init__(
        self, store: EventStore, tell: Tell, definition: SagaDefinition, saga_id: str, clock: Clock = now
    ) -> None:
        self._store = store
        self._tell = tell
        self._definition = definition
        self._id = saga_id
        self._clock = clock
        self._stream = StreamId(saga.saga.category, saga_id)
        self._inputs: deque[saga.Started | Outcome | None] = deque()
        self._news = asyncio.Event()
        self._state: saga.State = saga.NotStarted()
        self._version = 0
        self._first: Recorded | None = None
        self._step_started: datetime | None = None
        self.taken = 0
        """How many inputs are recorded, or came to nothing, and are still held by the runner."""

    def give(self, input: saga.Started | Outcome | None, cause: Recorded | None = None) -> None:
        """None means: look again (somebody wrote to the saga's stream)."""
        if cause is not None and self._first is None:
            self._first = cause
        self._inputs.append(input)
        self._news.set()

    async def run(self) -> None:
        """Until the saga waits for somebody else or has ended. The log being away only delays it."""
        while True:
            try:
                await self._reload()
                await self._drive()
                return
            except WrongVersion:
                continue
            except LogUnavailable as error:
                log.warning("saga %s waits for the log: %s", self._id, error)
                await asyncio.sleep(0.5)

    async def _drive(self) -> None:
        while True:
            while self._inputs:
                await self._take_next()
            if not isinstance(self._state, saga.Running):
                return await self._leave()
            match self._definition.plan(self._state):
                case None:
                    # Whoever is waited for may never come: the timer of the step wakes the saga then.
                    await self._arm_timer()
                    if not self._inputs:  # nothing came while the timer was set
                        return
                case Decision() as decision:
                    await self._record(decision)
                case Perform() as what:
                    await self._attempt(what)

    async def _take_next(self) -> None:
        await self._take(self._inputs[0])
        self._inputs.popleft()
        self.taken += 1

    async def _take(self, input: saga.Started | Outcome | None) -> None:
        match input:
            case saga.Started():
                if isinstance(self._state, saga.NotStarted):
                    await self._record(Decision((input,)))
            case None:
                await self._reload()
            case TimedOut() if self._deadline is not None and self._clock() < self._deadline:
                # Of a timer that was moved since by a resume or could not be set so far ahead, or the server's clock is
                # ahead of this one: then it comes again at once, for as long as that is so.
                await asyncio.sleep(_SOON)
            case _:
                if isinstance(self._state, saga.Running):
                    await self._record(self._definition.react(self._state, input))

    async def _attempt(self, what: Perform) -> None:
        """Perform, unless news comes first that may make it pointless: a timeout, a cancellation, or a verdict after
        which something else is planned."""
        assert isinstance(self._state, saga.Running)
        self._news.clear()
        if not what.undo:
            await self._arm_timer()
        performing = asyncio.ensure_future(self._definition.perform(self._state, what))
        try:
            while not performing.done():
                if not what.undo and not await self._still_planned(what):
                    return
                await self._news_or(performing)
            outcome = performing.result()
        finally:
            await end_tasks(performing)
        await self._record(self._definition.react(self._state, outcome))
        if isinstance(outcome, Stumbled):
            await self._pause(what, outcome.delay)

    async def _pause(self, what: Perform, delay: float) -> None:
        """Until it may be tried again, or something else is planned; news that change nothing do not shorten it."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(delay):
                while await self._still_planned(what):
                    self._news.clear()
                    await self._news.wait()

    async def _still_planned(self, what: Perform) -> bool:
        """After the news that have come meanwhile; those that end what is under way are left to be taken first."""
        while self._inputs:
            if self._ends_the_step(self._inputs[0]):
                return False
            await self._take_next()
            if not isinstance(self._state, saga.Running) or self._definition.plan(self._state) != what:
                return False
        return True

    def _ends_the_step(self, input: saga.Started | Outcome | None) -> bool:
        """A timer of a step that is over means nothing any more."""
        match input:
            case TimedOut(timer):
                return isinstance(self._state, saga.Running) and timer == f"{self._state.step}-timeout"
            case Heard():
                return False
            case _:
                return True

    async def _news_or(self, performing: asyncio.Future[Outcome]) -> None:
        news = asyncio.ensure_future(self._news.wait())
        await asyncio.wait({performing, news}, return_when=asyncio.FIRST_COMPLETED)
        await end_tasks(news)
        self._news.clear()

    async def _record(self, decision: Decision) -> None:
        """The decision, or, when an aggregate refuses it, what the saga makes of the refusal."""
        while decision.events or decision.commands:
            context = self._context()
            write = StreamWrite(self._stream, self._version, decision.events, context)
            try:
                await self._tell(decision.commands, self._command_ids(decision.commands), write, context)
            except Refusals as refusal:
                assert isinstance(self._state, saga.Running)
                decision = self._definition.react(self._state, refusal.refused)
                continue
            except WriteTooLarge as error:
                if not isinstance(self._state, saga.Running):
                    raise
                # Another attempt would come to the same: a person decides.
                decision = Decision((saga.Paused(f"too large to be written: {error}"),))
                continue
            return self._evolve(decision.events, context.time)

    def _command_ids(self, commands: Sequence[Told]) -> list[str]:
        """The same for the same decision after a crash; others for what follows a refusal at the same version."""
        names = [tag_of(told.command).rpartition(".")[2] for told in commands]
        return [f"{self._id}-{self._version + 1}-{number}-{name}" for number, name in enumerate(names, 1)]

    def _evolve(self, events: Sequence[saga.Event], time: datetime) -> None:
        for event in events:
            self._state = saga.evolve(self._state, event)
            self._version += 1
            if isinstance(event, saga.StepStarted | saga.Resumed):
                self._step_started = time

    async def _reload(self) -> None:
        events = await self._store.load(self._stream, latest=True)
        if events:
            self._first = events[0]
        self._state, self._version, self._step_started = saga.NotStarted(), 0, None
        for event in events:
            self._evolve([self._store.decode(event)], event.time)

    async def _arm_timer(self) -> None:
        """Again at every attempt: a timer that a crash prevented is set now, one that is set stays as it is.

        None while it is paused: one whose time is over would fire at once, to no effect, and be set again for ever.
        """
        match self._state:
            case saga.Running(step=str(step), paused=None) if self._deadline is not None:
                at = min(self._deadline, self._clock() + FARTHEST)
                await set_timer(self._store.connection, Due(self._id, f"{step}-timeout"), at)
            case saga.NotStarted() | saga.Running() | saga.Ended():
                pass

    @property
    def _deadline(self) -> datetime | None:
        """Of the step under way, counted from its start or from the last resume; None: it may take for ever."""
        if not isinstance(self._state, saga.Running) or self._step_started is None or not self._state.timeout:
            return None
        return self._step_started + timedelta(seconds=self._state.timeout)

    async def _leave(self) -> None:
        if isinstance(self._state, saga.Ended):
            with contextlib.suppress(LogUnavailable):
                await drop_timers(self._store.connection, self._id)

    def _context(self) -> Context:
        first = self._first.envelope if self._first else None
        return Context(
            time=self._clock(),
            actor=f"saga:{self._definition.kind}",
            correlation_id=first.correlationid if first else self._id,
            causation_id=f"{self._stream}/{self._version}" if self._version else (first.id if first else None),
            tenant=first.tenant if first else None,
            traceparent=first.traceparent if first else None,
        )
