"""One run in hand: take what came, decide, write it all at once, do what follows from it; until it rests or is over."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Final, NamedTuple

from domain.workflow import Call, Ended, Event, NotStarted, Running
from domain.workflow_course import CallFailed, CallSucceeded, TimePassed, due, to_start
from eventstore.errors import LogUnavailable, WriteTooLarge, WrongVersion
from sagas.workflows.alarm import Alarm
from sagas.workflows.attempts import Attempts
from sagas.workflows.deciding import Input, Said, decided, folded, succeeded
from sagas.workflows.failing import failed
from sagas.workflows.history import History
from sagas.workflows.listening import Delivery
from sagas.workflows.means import WORKERS, Means, Origin
from sagas.workflows.outside import Outside, given_up_in
from sagas.workflows.pace import BETWEEN, Pace, Sign
from sagas.workflows.values import ValueLost

log = logging.getLogger(__name__)

LINGER: Final = 2.0
"""Seconds for which a run that waits for others is kept in hand: most answers come soon."""
NEAR: Final = 0.5
"""Seconds to a moment for which no timer is set: it is waited for."""
LOOK_AGAIN: Final = 5.0
"""Seconds after which a run in hand is read again: another process may have been told that it is cancelled."""
_PAUSE: Final = 0.5


class Condemned(NamedTuple):
    """Nothing more is done with it if nothing has come of it for as long."""

    reason: str
    unmoved: timedelta


class Lost(Exception):
    """It can neither go on nor be ended: not here, or not by this program."""


class Run:
    """`give` it what came, then `drive` it. `held`: what has woken it, not acknowledged before it rests. Where it
    `is_crowded` it rests as soon as it can."""

    def __init__(self, means: Means, id: str, is_crowded: Callable[[], bool]) -> None:
        self._means = means
        self._id = id
        self._is_crowded = is_crowded
        self._history = History(means, id)
        self._inbox: deque[Input] = deque()
        self._news = asyncio.Event()
        self._attempts = Attempts(means, id, self.give)
        self._outside = Outside(means, id)
        self._alarm = Alarm(means, id)
        self._pace = Pace(means.signs)
        self._signs: asyncio.TimerHandle | None = None
        """What is going to give the signs of life that are kept."""
        self._given_up: list[str] = []
        self._recovering = False
        self._unproven = False
        """What it has recovered from may not be the last that was written: whoever had it was perhaps not gone yet."""
        self._condemned: Condemned | None = None
        self._calm_since = 0.0
        self._passed: datetime | None = None
        """The moment of which the run was told last that it has passed."""
        self.held: list[Delivery] = []

    def begin(self, delivery: Delivery) -> None:
        """With its first event, that nobody had in hand before."""
        self._history.begin(delivery)

    def give(self, said: Said, checked: bool = True) -> None:
        self._inbox.append(Input(said, checked))
        self._news.set()

    def report(self, said: Said) -> bool:
        """From outside. False: it is a sign of life that is given later, or not at all where another one follows."""
        if isinstance(said, Sign) and not self._pace.admits(said, time.monotonic()):
            self._await_signs()
            return False
        self.give(said, checked=False)
        return True

    def look(self) -> None:
        """Somebody else has written, or may have."""
        self._history.doubt()
        self._news.set()

    def recover(self) -> None:
        """Whoever had it in hand may be gone: what was under way with them is begun again."""
        self._recovering = True
        self.look()

    def condemn(self, condemned: Condemned) -> None:
        """It fails before anything is made of what came: that may be what ends the process every time."""
        self._condemned = condemned
        self.look()

    @property
    def has_taken_all(self) -> bool:
        return not self._inbox and self._history.is_known

    async def drive(self) -> None:
        """Until it waits for others, or is over. Raises Lost."""
        try:
            while not await self._carried_on():
                pass
        finally:
            if self._signs is not None:
                self._signs.cancel()
            if self._attempts:
                await self._attempts.end()

    def _await_signs(self) -> None:
        wait = self._pace.wait(time.monotonic())
        if self._signs is None and wait is not None:
            self._signs = asyncio.get_running_loop().call_later(wait, self._give_signs)

    def _give_signs(self) -> None:
        self._signs = None
        for sign in self._pace.ripe(time.monotonic()):
            self.give(sign, checked=False)
        self._await_signs()

    async def _carried_on(self) -> bool:
        """Whether it rests. The log being away only delays it, and so does whoever writes at the same time."""
        try:
            return await self._turn()
        except WrongVersion:
            if self._unproven or self._history.is_torn or self._history.is_presumed:
                # Where nobody was to have it before, the log's server has forgotten to whom it gave the run.
                self.recover()
            self._history.doubt()
        except LogUnavailable as error:
            log.warning("run %s waits: %s", self._id, error)
            self.recover()  # what was asked for may be on the record
            await asyncio.sleep(_PAUSE)
        except (ValueLost, WriteTooLarge) as error:
            if self._history.is_torn:
                self.recover()
            await self._fail(str(error))
        except Lost:
            raise
        except Exception as error:
            log.exception("run %s cannot go on", self._id)
            await self._fail(f"the engine cannot go on with it: {type(error).__name__}: {error}")
        return False

    async def _turn(self) -> bool:
        history = self._history
        if not history.is_known:
            await self._read()
        if self._condemned is not None and await self._is_carried_out(self._condemned):
            return False
        if isinstance(history.state, Running) and not await self._went_on(history.state):
            return False
        if isinstance(history.state, Running):
            return await self._waited(history.state)
        await self._leave(history.state)
        self._inbox.clear()
        return history.is_known

    async def _is_carried_out(self, condemned: Condemned) -> bool:
        self._condemned = None
        still = isinstance(self._history.state, Running) and await self._history.stands_still(self._means.clock())
        if not still or still < condemned.unmoved:
            return False
        self._inbox.clear()
        await self._fail(condemned.reason)
        return True

    async def _read(self) -> None:
        await self._history.read()
        state = self._history.state
        if isinstance(state, Running):
            await self._means.known.look(state.steps, state.pinned)
        if self._recovering and self._history.origin is not None:
            self._unproven = True
            self._given_up = await self._outside.make_up(state)

    async def _went_on(self, state: Running) -> bool:
        """False: what came means nothing to the state as it was known here; it is to be read again."""
        history = self._history
        assert history.origin is not None
        inputs, moment = tuple(self._inbox), self._means.clock()
        events, after = await decided(self._means, self._id, inputs, state, history.origin.actor, moment)
        if inputs and not events and not history.is_certain:
            history.doubt()
            return False
        if events:
            self._calm_since = time.monotonic()
            await history.write(events, after, moment)
            self._unproven = False
        for each in inputs:
            self._inbox.popleft()
            if isinstance(each.said, CallSucceeded | CallFailed):
                self._attempts.taken(each.said.call, each.said.attempt)
        await self._follow_up(events, state, history.origin)
        return True

    async def _follow_up(self, written: Sequence[Event], before: Running, origin: Origin) -> None:
        """What is on the record now may be done."""
        state = self._history.state
        self._attempts.keep_to(state)
        await self._outside.take_from_queues(written, before.calls)
        if isinstance(state, Running) and (self._history.asked or self._recovering):
            await self._begin(self._to_begin(state), state, origin)
        calls = state.calls if isinstance(state, Running) else before.calls
        self._given_up += given_up_in(written, calls)
        await self._outside.tell_skills(written, calls, origin)

    def _to_begin(self, state: Running) -> list[tuple[str, Call]]:
        """What was asked for here; what somebody else has asked for is theirs, unless they may be gone."""
        ids = self._history.asked
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
        self._history.asked.clear()
        self._recovering = False

    async def _waited(self, state: Running) -> bool:
        """False: something has come. True: nothing is to be awaited here, and the run is left to its timer."""
        if not self.has_taken_all:
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
        self._history.is_certain = False
        self._news.clear()
        alarm = asyncio.get_running_loop().call_later(patience, self._news.set)
        try:
            await self._news.wait()
        finally:
            alarm.cancel()
        if not self._inbox and patience >= LOOK_AGAIN:
            self._history.doubt()
        return False

    def _patience(self, state: Running, left: float | None) -> float:
        """Seconds for which it is kept in hand whatever comes; 0 for none. `left`: until something is due."""
        if self._attempts:
            most = LOOK_AGAIN
        elif self._pace.wait(time.monotonic()) is not None:
            most = BETWEEN
        elif self._is_crowded():
            most = 0.0
        elif any(state.calls[id].status in ("requested", "leased") for id in state.open):
            most = self._calm_since + LINGER - time.monotonic()
        else:
            most = NEAR if left is not None and left <= NEAR else 0.0
        return most if left is None or left <= 0 else min(most, left)

    async def _rested(self, at: datetime | None, moment: datetime) -> bool:
        await self._call_off()
        if at is not None:
            await self._alarm.set(at, moment)
        return self.has_taken_all

    async def _leave(self, state: NotStarted | Ended) -> None:
        """It is over, or there is none."""
        self._attempts.keep_to(state)
        if isinstance(state, NotStarted) or self._history.origin is None:
            return
        await self._call_off()
        await self._outside.tell_parent(state, self._history.origin)
        await self._alarm.drop()
        self._history.forget()

    async def _call_off(self) -> None:
        if self._given_up and self._history.origin is not None:
            await self._outside.call_off(self._given_up, self._history.origin)
            self._given_up.clear()

    async def _fail(self, reason: str) -> None:
        """What has succeeded is undone, where it was not that which failed: then it is over, for it would come to the
        same again and again. Raises Lost where not even that can be written."""
        try:
            await self._attempts.end()
            await self._history.read()
            await self._keep_results()
            state = self._history.state
            if not isinstance(state, Running):
                raise Lost(reason)
            events = failed(state, reason)
            await self._history.write(events, folded(state, events), self._means.clock())
            self._given_up += given_up_in(events, state.calls)
            await self._outside.take_from_queues(events, state.calls)
            self._inbox.clear()  # of calls that were given up, and perhaps what it has failed for
            self._history.doubt()
        except (WrongVersion, LogUnavailable):
            await asyncio.sleep(_PAUSE)
            self._history.doubt()
        except Exception as error:
            raise Lost(f"{reason}; {error}") from error

    async def _keep_results(self) -> None:
        """What has succeeded is to be undone too, though nothing else can be made of it. Raises WrongVersion,
        LogUnavailable."""
        state, moment = self._history.state, self._means.clock()
        if not isinstance(state, Running):
            return
        try:
            events, after = await succeeded(self._means, self._id, tuple(self._inbox), state, moment)
            await self._history.write(events, after, moment)
        except (WrongVersion, LogUnavailable):
            raise
        except Exception as error:
            log.warning("results of run %s are lost: %s", self._id, error)
            self._history.doubt()
            await self._history.read()
