"""Runs the stages of every record, as it comes in and whenever something new is known of it.

What wakes a record stays unacknowledged until nothing is left to be done for it: after a crash the log's server
delivers it again, here or in another process, and the record goes on with the stage that its stream says is next.
Each stage is one command with an id made of the record's version: carried out twice, it is written once.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Final, Protocol

import msgspec
from nats.errors import Error as NatsError

from domain import record, source
from domain.record import Answers, Known, Stage
from domain.source import Configuration
from eventstore.aggregates import Aggregates
from eventstore.catalogue import tag_of
from eventstore.envelope import Envelope
from eventstore.errors import EventStoreError, LogUnavailable, WriteTooLarge
from eventstore.store import EventStore
from eventstore.tasks import end_tasks, first_to_end
from records.stages import Stages, Unreadable
from records.waking import Wake, Waking

log = logging.getLogger(__name__)

_CONSUMER: Final = "records"
_RECORD: Final = record.record.category
_WAKES: Final = frozenset(tag_of(each) for each in (record.Received, record.Retried, record.Corrected, record.Answered))
_ATTEMPTS: Final = 3
_PAUSE: Final = 0.5
"""Seconds, after the first failure of a stage; twice as long after each further one."""

_INSTEAD: Final[dict[Stage, str]] = {
    "enrich": "analysed as it came",
    "analyse": "scored by what came as fields",
}
"""What is done when a stage fails for another reason than that nothing can be read."""

_REASON: Final = 1_000


class Tell(Protocol):
    """Gives a command from within, with an id of its own: given again, it is not carried out again.

    The reason of the refusal, None when it was accepted, now or before. Raises LogUnavailable, WriteTooLarge.
    """

    async def __call__(
        self, category: str, id: str, command: msgspec.Struct, command_id: str, cause: Envelope
    ) -> str | None: ...


class Processor:
    """Any number of processes may run one each. `at_once`: records in work at a time."""

    def __init__(
        self,
        store: EventStore,
        aggregates: Aggregates,
        stages: Stages,
        tell: Tell,
        *,
        at_once: int = 64,
        ack_wait: float = 30.0,
    ) -> None:
        self._store = store
        self._aggregates = aggregates
        self._stages = stages
        self._tell = tell
        self._turns = asyncio.Semaphore(at_once)
        self._at_once = at_once
        self._ack_wait = ack_wait
        self._locks: dict[str, tuple[asyncio.Lock, int]] = {}
        """With how many hold it or wait for it."""
        self._work: set[asyncio.Task[None]] = set()
        self._waking = Waking(store.connection, store.location, _CONSUMER, _RECORD)
        self.ready = asyncio.Event()

    async def run(self) -> None:
        """Until cancelled; then what is in work is left to whoever comes next."""
        try:
            await first_to_end(self._stages.schemas.run(), self._consume(), self._keep_hold())
        finally:
            await end_tasks(*self._work)

    async def _consume(self) -> None:
        await self._stages.schemas.ready.wait()
        while True:
            try:
                await self._waking.create(ack_wait=self._ack_wait, most_pending=4 * self._at_once)
                self.ready.set()
                wakes = self._waking.wakes(_WAKES)
                async with contextlib.aclosing(wakes):
                    async for wake in wakes:
                        await self._take(wake)
            except (NatsError, OSError, LogUnavailable) as error:
                if self._store.connection.is_closed:
                    raise
                log.warning("records wait for the log: %s", error)
                await asyncio.sleep(_PAUSE)

    async def _take(self, wake: Wake) -> None:
        await self._turns.acquire()
        task = asyncio.create_task(self._carry_on(wake))
        self._work.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._work.discard(task)
        self._turns.release()

    async def _carry_on(self, wake: Wake) -> None:
        id = wake.event.stream.id
        try:
            async with self._one_at_a_time(id):
                await self._finish(id, wake.event.envelope)
            await self._waking.acknowledge(wake)
            # A record may have half a megabyte, and thousands of them would stay at hand.
            self._aggregates.forget(wake.event.stream)
        except (EventStoreError, NatsError, OSError) as error:
            log.warning("record %s waits: %s", id, error)
            await self._waking.again(wake, _PAUSE)
        except Exception:
            # Left pending: delivered again after the ack wait, so a passing cause heals and a lasting one shows.
            log.exception("record %s stopped unexpectedly", id)
            self._waking.leave(wake)

    @asynccontextmanager
    async def _one_at_a_time(self, id: str) -> AsyncGenerator[None]:
        """What wakes the same record meanwhile waits: it may find nothing left to be done."""
        lock, waiting = self._locks.get(id, (asyncio.Lock(), 0))
        self._locks[id] = lock, waiting + 1
        try:
            async with lock:
                yield
        finally:
            lock, waiting = self._locks.pop(id)
            if waiting > 1:
                self._locks[id] = lock, waiting - 1

    async def _finish(self, id: str, cause: Envelope) -> None:
        """Stage after stage, until nothing is to be done. What each has written is at hand: the leader is asked again
        only where somebody else was faster."""
        found = await self._aggregates.load(record.record, id, latest=True)
        while isinstance(found.state, Known) and found.state.next is not None:
            configuration = await self._configuration(found.state)
            command = await self._attempt(id, found.state, configuration, cause)
            await self._told(id, found.state, command, cause)
            written = await self._aggregates.load(record.record, id)
            is_news = written.version > found.version
            found = written if is_news else await self._aggregates.load(record.record, id, latest=True)

    async def _told(self, id: str, state: Known, command: record.Command, cause: Envelope) -> None:
        command_id = f"{id}-{state.next}-{state.version}"
        try:
            refused = await self._tell(_RECORD, id, command, command_id, cause)
        except WriteTooLarge as error:
            assert state.next is not None
            failed = record.FailStage(state.next, str(error)[:_REASON], False)
            refused = await self._tell(_RECORD, id, failed, f"{command_id}-too-large", cause)
        if refused is not None:
            raise LogUnavailable(f"{command_id} was refused: {refused}")

    async def _configuration(self, state: Known) -> Configuration:
        message = state.received.message
        found = (await self._aggregates.load(source.source, message.source)).state
        return (
            found.configuration if isinstance(found, source.Known) else Configuration(message.platform, message.source)
        )

    async def _attempt(self, id: str, state: Known, configuration: Configuration, cause: Envelope) -> record.Command:
        """What the stage found; that it failed, when it did so for the last time."""
        stage, pause = state.next, _PAUSE
        assert stage is not None
        for attempt in range(1, _ATTEMPTS + 1):
            try:
                return await self._stage(id, stage, state, configuration, cause)
            except Unreadable as error:
                return record.FailStage(stage, str(error)[:_REASON], True)
            except (EventStoreError, NatsError):
                raise
            except Exception as error:
                log.warning("record %s, %s, attempt %d: %s", id, stage, attempt, error, exc_info=True)
                if attempt == _ATTEMPTS:
                    reason = f"{type(error).__name__}: {error}"[:_REASON]
                    return record.FailStage(stage, reason, True, _INSTEAD.get(stage, ""))
            await asyncio.sleep(pause)
            pause *= 2
        raise AssertionError

    async def _stage(
        self, id: str, stage: Stage, state: Known, configuration: Configuration, cause: Envelope
    ) -> record.Command:
        match stage:
            case "enrich":
                return await self._stages.enrich(state, configuration)
            case "analyse" if state.received.answers is not None:
                return await self._answer(id, state, state.received.answers, configuration, cause)
            case "analyse":
                return await self._stages.analyse(state, configuration)
            case "score":
                return self._stages.score(state, configuration)

    async def _answer(
        self, id: str, state: Known, answers: Answers, configuration: Configuration, cause: Envelope
    ) -> record.Command:
        """What the message says is told to the record that was asked about, before this one goes on."""
        asked = (await self._aggregates.load(record.record, answers.record_id, latest=True)).state
        if not isinstance(asked, Known):
            return await self._stages.analyse(state, configuration)
        given, analysis = await self._stages.answer(state, asked, configuration)
        if given is None and state.received.message.reply_to is None:
            return await self._stages.analyse(state, configuration)
        if given is not None:
            told = msgspec.structs.replace(given, by=id)
            refused = await self._tell(_RECORD, answers.record_id, told, f"{id}-answers-{state.version}", cause)
            if refused is not None:
                log.info("record %s does not take the answer %s: %s", answers.record_id, id, refused)
        return record.Analyse(analysis)

    async def _keep_hold(self) -> None:
        """Tell the server, in time, that what is here is in work."""
        while True:
            await asyncio.sleep(self._ack_wait / 3)
            await self._waking.hold()
