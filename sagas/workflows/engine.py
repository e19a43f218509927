"""The engine: wakes runs by what is written, reported and due; no wake-up is acknowledged before its run rests.

What is unacknowledged is what is under way: after a crash the log's server delivers it again, here or in another
process, and the run goes on from its own stream. Nothing about running workflows is kept anywhere else.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from datetime import timedelta
from functools import partial
from typing import Final

from domain import wakeup, workflow
from domain.workflow_course import TimePassed
from eventstore.errors import LogUnavailable
from eventstore.tasks import end_tasks, finished, first_to_end
from sagas.timers import RUNS, Due, set_timer
from sagas.workflows.listening import Answers, Delivery, Listener
from sagas.workflows.means import Means, run_of
from sagas.workflows.reports import said_in
from sagas.workflows.room import Room
from sagas.workflows.run import Condemned, Lost, Run
from skills.protocol import REPORTS

log = logging.getLogger(__name__)

CONSUMER: Final = "workflows"
WOKEN: Final = "workflows-woken"
"""The consumer of what people and other runs have said to runs: it must not queue behind those that are to begin."""
ACK_WAIT: Final = 10.0
IN_FLIGHT: Final = 20_000
IN_HAND: Final = 2_000
MOST_DELIVERIES: Final = 10
"""Of one wake-up of a run of which nothing has come for as long as so many crashes take at least: it takes its process
with it. What an engine that ends hands over, or puts off, comes back as a new wake-up and is counted anew: what is left
in the count is that nobody has said for `ack_wait` seconds that the run is alive. An outage of the network is counted
too, which is why the run has to stand still besides."""
HANDED_OVER: Final = "handed-over"
"""The timer of a run that was in hand: whoever it wakes begins again what was under way."""
_UNREADABLE: Final = 30.0
"""Seconds until a run that can neither go on nor be ended is tried again."""


class WorkflowEngine:
    """Any number of processes may run one each. `ack_wait`: seconds until what a crashed process had in hand is
    delivered again. `in_flight`: how many wake-ups of a kind may be unacknowledged in all. `most_in_hand`: how many
    runs it has in hand before it begins no new ones; it goes on with those that were begun up to about twice as many.
    `close` is awaited when it has ended."""

    def __init__(
        self,
        means: Means,
        *,
        ack_wait: float = ACK_WAIT,
        in_flight: int = IN_FLIGHT,
        most_in_hand: int = IN_HAND,
        close: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        self._means = means
        self._close = close
        self._ack_wait = ack_wait
        self._answers = Answers(means.store.connection)
        self._runs: dict[str, tuple[Run, asyncio.Task[None]]] = {}
        self.room = Room(most_in_hand)
        log, prefix = means.store.location.stream, means.store.location.prefix

        def listener(stream: str, subjects: str, durable: str = CONSUMER, room: int = 2) -> Listener:
            return Listener(
                means.store.connection,
                stream,
                durable,
                [subjects],
                ack_wait=ack_wait,
                most_pending=in_flight,
                room=partial(self.room.free, room),
            )

        self._listeners = (
            (listener(log, f"{prefix}.{workflow.workflow.category}.*.1", room=1), self._on_start),
            (listener(log, f"{prefix}.{wakeup.wakeup.category}.>", WOKEN), self._on_wakeup),
            (listener(REPORTS, "report.>"), self._on_report),
            (listener(RUNS.stream, f"{RUNS.due}.>"), self._on_timer),
        )

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
            await finished(self._end())

    async def _listen(self) -> None:
        await self._means.known.ready()
        await first_to_end(*(listener.run(receive) for listener, receive in self._listeners))

    def _on_start(self, delivery: Delivery) -> None:
        run = self._run(_id_in(delivery.subject))
        if delivery.times == 1 and not run.held:
            run.begin(delivery)
        else:
            run.look()
        self._hold(run, delivery)

    def _on_wakeup(self, delivery: Delivery) -> None:
        run = self._run(_id_in(delivery.subject))
        run.look()
        self._hold(run, delivery)

    def _on_report(self, delivery: Delivery) -> None:
        words = delivery.subject.split(".")
        said = said_in(words, delivery.payload)
        if said is None:
            log.error("a message on %s is no report", delivery.subject)
            self._answers.acknowledge([delivery])
            return
        run = self._run(run_of(words[1]))
        if run.report(said) or not run.held or delivery.times > 1:
            self._hold(run, delivery)
        else:
            self._answers.acknowledge([delivery])

    def _on_timer(self, delivery: Delivery) -> None:
        words = delivery.subject.split(".")
        id = words[1]
        run = self._run(id)
        if words[2:] == [HANDED_OVER]:
            run.recover()
        else:
            self._means.armed.drop(id)
            run.look()
        run.give(TimePassed())
        self._hold(run, delivery)

    def _run(self, id: str) -> Run:
        known = self._runs.get(id)
        if known is not None:
            return known[0]
        run = Run(self._means, id, lambda: self.room.is_full)
        self.room.enter()
        self._runs[id] = run, asyncio.get_running_loop().create_task(self._drive(id, run))
        return run

    def _hold(self, run: Run, delivery: Delivery) -> None:
        run.held.append(delivery)
        if delivery.times > 1:
            run.recover()
        if delivery.times > MOST_DELIVERIES:
            reason = f"the engine has begun with it {delivery.times - 1} times and never came to an end"
            run.condemn(Condemned(reason, timedelta(seconds=self._ack_wait * MOST_DELIVERIES)))

    async def _drive(self, id: str, run: Run) -> None:
        try:
            await run.drive()
        except Lost as error:
            log.error("run %s is left as it is for now: %s", id, error)
            await self._hand_over(id, run, _UNREADABLE)
        else:
            self._answers.acknowledge(run.held)
        del self._runs[id]
        self.room.leave()

    async def _hand_over(self, id: str, run: Run, seconds: float = 0.0) -> None:
        """It is woken after so long, here or elsewhere, as if nobody had begun with it in vain."""
        at = self._means.clock() + timedelta(seconds=seconds)
        try:
            if not self._means.store.connection.is_connected:
                raise LogUnavailable("the connection is lost")
            await set_timer(self._means.store.connection, Due(id, HANDED_OVER), at, RUNS)
        except LogUnavailable:
            self._answers.later(run.held, seconds)
        else:
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

    async def _end(self) -> None:
        await self._release()
        await self._means.queue.close()
        if self._close is not None:
            await self._close()

    async def _release(self) -> None:
        await end_tasks(*(task for _, task in self._runs.values()))
        await asyncio.gather(*(self._hand_over(id, run) for id, (run, _) in self._runs.items()))
        self._runs.clear()
        await self._answers.flush()


def _id_in(subject: str) -> str:
    """Of an event of the log: ….<category>.<id>.<version>."""
    return subject.rsplit(".", 2)[1]
