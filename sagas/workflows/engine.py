"""The engine: wakes runs by what is written, reported and due; no wake-up is acknowledged before its run rests.

What is unacknowledged is what is under way: after a crash the log's server delivers it again, here or in another
process, and the run goes on from its own stream. Nothing about running workflows is kept anywhere else.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Final

import msgspec

from domain import wakeup, workflow
from domain.workflow_course import CallFailed, CallLeased, CallProgressed, TimePassed
from eventstore.tasks import end_tasks, first_to_end
from sagas.timers import RUNS
from sagas.workflows.attempts import said_of
from sagas.workflows.deciding import Said
from sagas.workflows.listening import Answers, Delivery, Listener
from sagas.workflows.means import Means, run_of
from sagas.workflows.run import Lost, Run
from skills.protocol import REPORTS, Failed, Leased, Progressed, Report, Succeeded

log = logging.getLogger(__name__)

CONSUMER: Final = "workflows"
ACK_WAIT: Final = 10.0
IN_FLIGHT: Final = 20_000
MOST_DELIVERIES: Final = 10
"""Of one wake-up. A run that is woken more often and never rests takes its process with it."""
_UNREADABLE: Final = 30.0
"""Seconds until a run that can neither go on nor be ended is tried again."""

_report: msgspec.json.Decoder[Report] = msgspec.json.Decoder(Report)


class WorkflowEngine:
    """Any number of processes may run one each. `ack_wait`: seconds until what a crashed process had in hand is
    delivered again. `in_flight`: how many wake-ups of a kind may be unacknowledged in all. `close` is awaited when it
    has ended."""

    def __init__(
        self,
        means: Means,
        *,
        ack_wait: float = ACK_WAIT,
        in_flight: int = IN_FLIGHT,
        close: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        self._means = means
        self._close = close
        self._ack_wait = ack_wait
        self._answers = Answers(means.store.connection)
        self._runs: dict[str, tuple[Run, asyncio.Task[None]]] = {}
        prefix = means.store.location.prefix
        written = [f"{prefix}.{workflow.workflow.category}.*.1", f"{prefix}.{wakeup.wakeup.category}.>"]
        wanted = (
            (means.store.location.stream, written, self._on_event),
            (REPORTS, ["report.>"], self._on_report),
            (RUNS.stream, [f"{RUNS.due}.>"], self._on_timer),
        )
        self._listeners = [
            (
                Listener(means.store.connection, stream, CONSUMER, subjects, ack_wait=ack_wait, most_pending=in_flight),
                receive,
            )
            for stream, subjects, receive in wanted
        ]

    async def ready(self) -> None:
        for listener, _ in self._listeners:
            await listener.ready.wait()

    @property
    def in_hand(self) -> int:
        """Runs."""
        return len(self._runs)

    async def run(self) -> None:
        """Until cancelled; then hands what is under way to whoever comes next."""
        await self._means.queue.open()
        try:
            await first_to_end(self._means.known.run(), self._listen(), self._keep_hold())
        finally:
            await self._release()
            await self._means.queue.close()
            if self._close is not None:
                await self._close()

    async def _listen(self) -> None:
        await self._means.known.ready()
        await first_to_end(*(listener.run(receive) for listener, receive in self._listeners))

    def _on_event(self, delivery: Delivery) -> None:
        _, category, id, _ = delivery.subject.rsplit(".", 3)
        run = self._run(id)
        if category == workflow.workflow.category and delivery.times == 1 and not run.held:
            run.begin(delivery)
        else:
            run.look()
        self._hold(run, delivery)

    def _on_report(self, delivery: Delivery) -> None:
        words = delivery.subject.split(".")
        said = _said(words, delivery.payload)
        if said is None:
            log.error("a message on %s is no report", delivery.subject)
            self._answers.acknowledge([delivery])
            return
        run = self._run(run_of(words[1]))
        run.give(said, checked=False)
        self._hold(run, delivery)

    def _on_timer(self, delivery: Delivery) -> None:
        id = delivery.subject.split(".")[1]
        self._means.armed.drop(id)
        run = self._run(id)
        run.look()
        run.give(TimePassed())
        self._hold(run, delivery)

    def _run(self, id: str) -> Run:
        known = self._runs.get(id)
        if known is not None:
            return known[0]
        run = Run(self._means, id)
        self._runs[id] = run, asyncio.get_running_loop().create_task(self._drive(id, run))
        return run

    def _hold(self, run: Run, delivery: Delivery) -> None:
        run.held.append(delivery)
        if delivery.times > 1:
            run.recover()
        if delivery.times > MOST_DELIVERIES:
            run.condemn(f"the engine has begun with it {delivery.times - 1} times and never came to an end")

    async def _drive(self, id: str, run: Run) -> None:
        try:
            await run.drive()
        except Lost as error:
            log.error("run %s is left as it is for now: %s", id, error)
            del self._runs[id]
            self._answers.later(run.held, _UNREADABLE)
            return
        del self._runs[id]
        self._answers.acknowledge(run.held)

    async def _keep_hold(self) -> None:
        """Tell the server, in time, that the runs in hand are alive. One wake-up is enough to begin one again: of those
        that it has taken it needs no more."""
        while True:
            await asyncio.sleep(self._ack_wait / 3)
            for run, _ in list(self._runs.values()):
                if run.has_taken_all and len(run.held) > 1:
                    self._answers.acknowledge(run.held[1:])
                    del run.held[1:]
                self._answers.alive(run.held)

    async def _release(self) -> None:
        runs = list(self._runs.values())
        await end_tasks(*(task for _, task in runs))
        for run, _ in runs:
            self._answers.again(run.held)
        self._runs.clear()
        await self._answers.flush()


def _said(words: list[str], payload: bytes) -> Said | None:
    """Of a report on `report.<call>.<attempt>.<what>`; None for what is none."""
    if len(words) != 4 or not words[2].isdecimal() or not run_of(words[1]):
        return None
    call, attempt, what = words[1], int(words[2]), words[3]
    try:
        report = _report.decode(payload)
    except msgspec.DecodeError as error:
        if what != "result":
            return None
        # There is no second result: whoever waits for it is not to wait in vain.
        return CallFailed(call, attempt, "error", f"what its worker said cannot be read: {error}"[:1_000])
    match report:
        case Leased(worker):
            return CallLeased(call, attempt, worker)
        case Progressed(fraction, note):
            return CallProgressed(call, attempt, fraction, note)
        case Succeeded() | Failed():
            return said_of(call, attempt, report)
