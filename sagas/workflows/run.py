"""One run in hand: take what came, decide, write it all at once, do what follows from it; until it rests or is over."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import Sequence
from datetime import datetime
from typing import Final

from domain import workflow
from domain.workflow import (
    Call,
    CallCancelled,
    Ended,
    Event,
    NotStarted,
    Reattempted,
    Requested,
    RunFailed,
    Running,
    State,
)
from domain.workflow_course import CallFailed, CallSucceeded, TimePassed, due, to_start
from eventstore.envelope import StreamId, recorded
from eventstore.errors import LogUnavailable, WriteTooLarge, WrongVersion
from sagas.timers import FARTHEST, RUNS, Due, drop_timers, set_timer
from sagas.workflows.attempts import Attempts
from sagas.workflows.deciding import Input, Said, decided
from sagas.workflows.listening import Delivery
from sagas.workflows.means import WORKERS, Means, Origin
from sagas.workflows.outside import Outside, given_up_in
from sagas.workflows.values import ValueLost

log = logging.getLogger(__name__)

MOST_EVENTS: Final = 400
"""Of one write; what is more is written in several, each of which stands for itself."""
LINGER: Final = 0.5
"""Seconds for which a run that waits for others is kept in hand: most answers come soon."""
LOOK_AGAIN: Final = 5.0
"""Seconds after which a run in hand is read again: another process may have been told that it is cancelled."""
TIMER: Final = "due"
_PAUSE: Final = 0.5
_REASON: Final = 1_000


class Lost(Exception):
    """It can neither go on nor be ended: not here, or not by this program."""


class Run:
    """`give` it what came, then `drive` it. `held`: what has woken it, not acknowledged before it rests."""

    def __init__(self, means: Means, id: str) -> None:
        self._means = means
        self._id = id
        self._stream = StreamId(workflow.workflow.category, id)
        self._inbox: deque[Input] = deque()
        self._news = asyncio.Event()
        self._attempts = Attempts(means, id, self.give)
        self._outside = Outside(means, id)
        self._state: State = NotStarted()
        self._version = -1
        """-1: to be read."""
        self._certain = False
        """It was read or written a moment ago: nobody else can have written since."""
        self._origin = means.origins.get(id)
        self._given_up: list[str] = []
        self._asked: list[str] = []
        """Calls that are on the record, and are to be begun by this process."""
        self._recovering = False
        self._beginning: Delivery | None = None
        self._calm_since = 0.0
        self._passed: datetime | None = None
        """The moment of which the run was told last that it has passed."""
        self.held: list[Delivery] = []

    def begin(self, delivery: Delivery) -> None:
        """With its first event: there is nothing else to be read, unless somebody was faster."""
        self._beginning = delivery

    def give(self, said: Said, checked: bool = True) -> None:
        self._inbox.append(Input(said, checked))
        self._news.set()

    def look(self) -> None:
        """Somebody else has written, or may have."""
        self._version = -1
        self._news.set()

    def recover(self) -> None:
        """Whoever had it in hand may be gone: what was under way with them is begun again."""
        self._recovering = True
        self.look()

    @property
    def has_taken_all(self) -> bool:
        return not self._inbox and self._version >= 0

    async def drive(self) -> None:
        """Until it waits for others, or is over. Raises Lost."""
        try:
            while not await self._carried_on():
                pass
        finally:
            if self._attempts:
                await self._attempts.end()

    async def _carried_on(self) -> bool:
        """Whether it rests. The log being away only delays it, and so does whoever writes at the same time."""
        try:
            return await self._turn()
        except WrongVersion:
            self._version = -1
        except LogUnavailable as error:
            log.warning("run %s waits: %s", self._id, error)
            self.recover()  # what was asked for may be on the record
            await asyncio.sleep(_PAUSE)
        except (ValueLost, WriteTooLarge) as error:
            await self._fail(str(error))
        except Exception as error:
            log.exception("run %s cannot go on", self._id)
            await self._fail(f"the engine cannot go on with it: {type(error).__name__}: {error}")
        return False

    async def _turn(self) -> bool:
        if self._version < 0:
            await self._read()
        if isinstance(self._state, Running) and not await self._went_on(self._state):
            return False
        if isinstance(self._state, Running):
            return await self._waited(self._state)
        await self._leave(self._state)
        self._inbox.clear()
        return self._version >= 0

    async def _went_on(self, state: Running) -> bool:
        """False: what came means nothing to the state as it was known here; it is to be read again."""
        assert self._origin is not None
        inputs, moment = tuple(self._inbox), self._means.clock()
        events, after = await decided(self._means, self._id, inputs, state, self._origin.actor, moment)
        if inputs and not events and not self._certain:
            self._version = -1
            return False
        if events:
            self._calm_since = time.monotonic()
        for start in range(0, len(events), MOST_EVENTS):
            await self._write(events[start : start + MOST_EVENTS], moment)
        self._state = after
        for each in inputs:
            self._inbox.popleft()
            if isinstance(each.said, CallSucceeded | CallFailed):
                self._attempts.taken(each.said.call, each.said.attempt)
        await self._follow_up(events, state)
        return True

    async def _write(self, events: Sequence[Event], moment: datetime) -> None:
        """Halved for as long as it is too large. Raises WriteTooLarge where a single event is."""
        assert self._origin is not None
        context = self._origin.context(moment, f"{self._stream}/{self._version}")
        try:
            await self._means.store.append(self._stream, self._version, events, context)
        except WriteTooLarge:
            if len(events) == 1:
                raise
            await self._write(events[: len(events) // 2], moment)
            await self._write(events[len(events) // 2 :], moment)
            return
        self._version += len(events)
        self._certain = True
        self._asked += [each.call for each in events if isinstance(each, Requested | Reattempted)]

    async def _follow_up(self, written: Sequence[Event], before: Running) -> None:
        """What is on the record now may be done."""
        assert self._origin is not None
        state = self._state
        self._attempts.keep_to(state)
        if isinstance(state, Running) and (self._asked or self._recovering):
            await self._begin(self._to_begin(state), state, self._origin)
        calls = state.calls if isinstance(state, Running) else before.calls
        self._given_up += given_up_in(written, calls)
        await self._outside.tell_skills(written, calls, self._origin)

    def _to_begin(self, state: Running) -> list[tuple[str, Call]]:
        """What was asked for here; what somebody else has asked for is theirs, unless they may be gone."""
        ids = self._asked
        if self._recovering:
            ids = [id for id in state.open if state.calls[id].worker.startswith(WORKERS)] + list(to_start(state))
        return [(id, call) for id in dict.fromkeys(ids) if (call := state.calls[id]).status in ("requested", "leased")]

    async def _begin(self, calls: Sequence[tuple[str, Call]], state: Running, origin: Origin) -> None:
        """Here, or given to others. Raises LogUnavailable."""
        others: list[tuple[str, Call]] = []
        for id, call in calls:
            if call.kind == "workflow" or (call.skill, call.version) not in self._means.local:
                others.append((id, call))
            elif not self._attempts.holds(id, call.attempt):
                self._attempts.start(id, call, state, origin)
        if others:
            told = (self._outside.hand_over(id, call, state, origin) for id, call in others)
            for wrong in await asyncio.gather(*told):
                if wrong is not None:
                    self.give(wrong)
        self._asked.clear()
        self._recovering = False

    async def _waited(self, state: Running) -> bool:
        """False: something has come. True: nothing is to be awaited here, and the run is left to its timer."""
        if self._inbox or self._version < 0:
            return False
        moment, at = self._means.clock(), due(state)
        left = (at - moment).total_seconds() if at is not None else None
        if left is not None and left <= 0 and at != self._passed:
            self._passed = at
            self.give(TimePassed())
            return False
        patience = self._patience(state, left)
        if patience <= 0:
            return await self._rested(at, moment)
        self._certain = False
        self._news.clear()
        alarm = asyncio.get_running_loop().call_later(patience, self._news.set)
        try:
            await self._news.wait()
        finally:
            alarm.cancel()
        if not self._inbox and patience >= LOOK_AGAIN:
            self._version = -1
        return False

    def _patience(self, state: Running, left: float | None) -> float:
        """Seconds for which it is kept in hand whatever comes; 0 for none."""
        if self._attempts:
            return LOOK_AGAIN if left is None or left <= 0 else min(LOOK_AGAIN, left)
        lingering = self._calm_since + LINGER - time.monotonic() if state.open else 0.0
        if left is not None and 0 < left <= LINGER:
            return left
        return lingering

    async def _rested(self, at: datetime | None, moment: datetime) -> bool:
        await self._call_off()
        if at is not None:
            await self._arm(min(at, moment + FARTHEST), moment)
        return self.has_taken_all

    async def _arm(self, at: datetime, moment: datetime) -> None:
        """Unless a timer is set that wakes the run before that anyway."""
        armed = self._means.armed.get(self._id)
        if armed is None or not moment < armed <= at:
            await set_timer(self._means.store.connection, Due(self._id, TIMER), at, RUNS)
            self._means.armed.put(self._id, at)

    async def _leave(self, state: NotStarted | Ended) -> None:
        """It is over, or there is none."""
        self._attempts.keep_to(state)
        if isinstance(state, NotStarted) or self._origin is None:
            return
        await self._call_off()
        await self._outside.tell_parent(state, self._origin)
        if self._means.armed.drop(self._id) is not None:
            await drop_timers(self._means.store.connection, self._id, RUNS)
        self._means.aggregates.forget(self._stream)

    async def _call_off(self) -> None:
        if self._given_up and self._origin is not None:
            await self._outside.call_off(self._given_up, self._origin)
            self._given_up.clear()

    async def _read(self) -> None:
        """Raises what `Aggregates.load` raises."""
        beginning, self._beginning = self._beginning, None
        if beginning is not None and not self._recovering:
            first = recorded(beginning.position, beginning.payload)
            self._state = workflow.evolve(NotStarted(), self._means.store.decode(first))
            self._means.store.heard(first)
            self._version, self._certain = 1, False
            self._origin = Origin.of(first.envelope)
        else:
            version, self._state = await self._means.aggregates.load(workflow.workflow, self._id, latest=True)
            await self._read_origin()
            self._version, self._certain = version, True
        if isinstance(self._state, Running):
            await self._means.known.look(self._state.steps)

    async def _read_origin(self) -> None:
        if self._origin is None:
            first = await self._means.store.load(self._stream, limit=1)
            self._origin = Origin.of(first[0].envelope) if first else None
        if self._recovering and self._origin is not None:
            self._given_up = await self._outside.left_behind(self._state)

    async def _fail(self, reason: str) -> None:
        """For good: it would come to the same again and again. Raises Lost where even that cannot be written."""
        try:
            await self._attempts.end()
            await self._read()
            if not isinstance(self._state, Running):
                raise Lost(reason)
            ends = [CallCancelled(id, "the run has failed") for id in self._state.open]
            self._given_up += given_up_in(ends, self._state.calls)
            await self._write([*ends, RunFailed(reason[:_REASON], cost=self._state.cost)], self._means.clock())
        except (WrongVersion, LogUnavailable):
            await asyncio.sleep(_PAUSE)
        except Exception as error:
            raise Lost(f"{reason}; {error}") from error
        self._version = -1
