"""The attempts at the calls of one run that this very process has in hand."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from copy import deepcopy
from typing import Final, NamedTuple

from domain import workflow
from domain.workflow import Call, Running
from domain.workflow_course import CallFailed, CallLeased, CallProgressed, CallSucceeded
from eventstore.errors import LogUnavailable
from eventstore.tasks import end_tasks
from sagas.workflows.means import Means, Origin
from skills.protocol import Failed, Result, Succeeded, Work
from skills.skill import Security, System, User

log = logging.getLogger(__name__)

Said = CallLeased | CallSucceeded | CallFailed | CallProgressed

_TOLD_AFTER: Final = 1.0
"""Seconds after which it goes on the record that an attempt is in hand here; most are over by then."""
_BETWEEN: Final = 1.0
"""Seconds between two things that are told of the progress of one attempt, at least."""
_PAUSE: Final = 0.5
_REASON: Final = 1_000


class _Attempt(NamedTuple):
    number: int
    task: asyncio.Task[None]


class Attempts:
    """What comes of them is given to `give`; an attempt is held until it is `taken`, that is: on the record."""

    def __init__(self, means: Means, run: str, give: Callable[[Said], None]) -> None:
        self._means = means
        self._run = run
        self._give = give
        self._held: dict[str, _Attempt] = {}

    def __bool__(self) -> bool:
        return bool(self._held)

    def holds(self, id: str, attempt: int) -> bool:
        held = self._held.get(id)
        return held is not None and held.number == attempt

    def start(self, id: str, call: Call, state: Running, origin: Origin) -> None:
        self._end(id)
        loop = asyncio.get_running_loop()
        work = work_of(self._run, id, call, state, origin)
        self._held[id] = _Attempt(call.attempt, loop.create_task(self._make(work)))

    def taken(self, id: str, attempt: int) -> None:
        """Its result is on the record, or counts no more."""
        if self.holds(id, attempt):
            self._end(id)

    def keep_to(self, state: workflow.State) -> None:
        """End what nobody waits for any more."""
        calls = state.calls if isinstance(state, Running) else {}
        for id, held in list(self._held.items()):
            call = calls.get(id)
            if call is None or call.attempt != held.number or call.status not in ("leased", "requested"):
                self._end(id)

    async def end(self) -> None:
        tasks = [held.task for held in self._held.values()]
        for id in list(self._held):
            self._end(id)
        await end_tasks(*tasks)

    def _end(self, id: str) -> None:
        held = self._held.pop(id, None)
        if held is not None:
            held.task.cancel()

    async def _make(self, work: Work) -> None:
        lease = _Lease(work, self._means.worker, self._give)
        try:
            result = await self._made(work, lease)
        except Exception as error:
            log.exception("the call %s could not be made", work.call)
            result = Failed(f"{type(error).__name__}: {error}"[:_REASON])
        finally:
            lease.drop()
        self._give(said_of(work.call, work.attempt, result, self._means.worker))

    async def _made(self, work: Work, lease: _Lease) -> Result:
        """However long the object store is away: the attempt has a deadline."""
        skill = self._means.local[work.skill, work.version]
        progress = _Progress(work.call, work.attempt, self._give)
        try:
            while True:
                try:
                    result = await self._means.perform(skill, work, progress, lease.begun)
                    break
                except LogUnavailable:
                    await asyncio.sleep(_PAUSE)
            progress.tell()
            return result
        finally:
            progress.end()


def said_of(id: str, attempt: int, result: Result, worker: str = "") -> CallSucceeded | CallFailed:
    match result:
        case Succeeded():
            who = result.worker or worker
            return CallSucceeded(id, attempt, result.output, who, result.seconds, result.cost, result.exchanges)
        case Failed():
            kind = "invalid" if result.invalid else "timeout" if result.late else "error"
            who = result.worker or worker
            return CallFailed(
                id,
                attempt,
                kind,
                result.reason,
                retryable=result.retryable and not result.invalid,
                worker=who,
                seconds=result.seconds,
                cost=result.cost,
            )


def work_of(run: str, id: str, call: Call, state: Running, origin: Origin) -> Work:
    """A call, with what it is told of those for whom it is made, of itself, and of what it may do: nothing that it
    could change for others."""
    grants = state.grants
    return Work(
        id,
        call.attempt,
        call.skill,
        call.version,
        call.input,
        call.policy.lease,
        User(deepcopy(state.context)),
        System(run, id, call.step, call.attempt, call.deadline, origin.correlation_id, origin.traceparent, call.item),
        Security(origin.actor, origin.tenant, grants.skills, grants.network, grants.read, grants.write),
        call.policy.isolation,
        call.policy.timeout,
    )


class _Lease:
    """Tells that an attempt is in hand, if it is not over soon after it was begun."""

    def __init__(self, work: Work, worker: str, give: Callable[[Said], None]) -> None:
        self._after = min(_TOLD_AFTER, work.timeout / 2)
        self._lease = CallLeased(work.call, work.attempt, worker, self._after)
        self._give = give
        self._timer: asyncio.TimerHandle | None = None

    def begun(self) -> None:
        self.drop()
        self._timer = asyncio.get_running_loop().call_later(self._after, self._give, self._lease)

    def drop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()


class _Progress:
    """May be told from any thread, and as often as one likes: passed on is the first, and then the latest."""

    __slots__ = ("_attempt", "_call", "_give", "_is_over", "_is_under_way", "_latest", "_loop", "_next", "_timer")

    def __init__(self, call: str, attempt: int, give: Callable[[Said], None]) -> None:
        self._call = call
        self._attempt = attempt
        self._give = give
        self._loop = asyncio.get_running_loop()
        self._latest: tuple[float, str] | None = None
        self._is_under_way = False
        """What takes the latest to the loop."""
        self._is_over = False
        self._next = 0.0
        self._timer: asyncio.TimerHandle | None = None

    def __call__(self, fraction: float, note: str = "") -> None:
        self._latest = min(max(fraction, 0.0), 1.0), note[:1_000]
        if not self._is_under_way:
            self._is_under_way = True
            self._loop.call_soon_threadsafe(self._tell_in_time)

    def tell(self) -> None:
        """What was not passed on yet."""
        self._is_under_way = False
        latest, self._latest = self._latest, None
        if latest is not None and not self._is_over:
            self._next = time.monotonic() + _BETWEEN
            self._give(CallProgressed(self._call, self._attempt, *latest))

    def end(self) -> None:
        """Nothing more is passed on, though a thread may go on telling."""
        self._is_over = True
        if self._timer is not None:
            self._timer.cancel()

    def _tell_in_time(self) -> None:
        wait = self._next - time.monotonic()
        if wait > 0:
            self._timer = self._loop.call_later(wait, self.tell)
        else:
            self.tell()
