"""Runs sagas: wakes them by events and timers, and keeps each wake-up unacknowledged until the saga rests.

What is unacknowledged is what is under way: after a crash the log's server delivers it again, here or in another
process, and the saga goes on from its own stream. Nothing about running sagas is kept anywhere else.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final

import msgspec
from nats.aio.msg import Msg
from nats.errors import Error as NatsError

from domain import saga
from eventstore.envelope import Recorded, now, recorded
from eventstore.errors import EventStoreError, LogUnavailable
from eventstore.pulling import pulled
from eventstore.store import EventStore
from eventstore.streams import ask, error_code
from eventstore.subjects import category_filter
from eventstore.tasks import end_tasks, first_to_end
from sagas import timers
from sagas.definition import Outcome, SagaDefinition, TimedOut
from sagas.instance import Instance, Tell

log = logging.getLogger(__name__)

_CONSUMER: Final = "sagas"
_UNREADABLE: Final = 30.0
"""Seconds until an event that could not be read is tried again."""


class SagaRunner:
    """Any number of processes may run one each: effects are keyed and the saga's stream has one writer per version.

    `ack_wait`: seconds until the wake-ups of a crashed process are delivered again. `in_flight`: how many of them may
    be unacknowledged; more sagas than that are never under way at a time.
    """

    def __init__(
        self,
        store: EventStore,
        tell: Tell,
        definitions: Sequence[SagaDefinition],
        *,
        ack_wait: float = 5.0,
        in_flight: int = 2_000,
        clock: timers.Clock = now,
    ) -> None:
        self._store = store
        self._tell = tell
        self._definitions = {definition.kind: definition for definition in definitions}
        self._running: dict[str, tuple[Instance, asyncio.Task[None]]] = {}
        self._held: dict[str, list[Msg]] = {}
        self._ack_wait = ack_wait
        self._in_flight = in_flight
        self._clock = clock
        self.ready = asyncio.Event()

    async def run(self) -> None:
        """Until cancelled; then hands what is under way to whoever comes next."""
        try:
            await first_to_end(
                self._consume(self._store.location.stream, self._event_subjects(), self._on_event),
                self._consume(timers.SAGAS.stream, [f"{timers.SAGAS.due}.>"], self._on_timer),
                self._keep_hold(),
            )
        finally:
            await self._release()

    def _event_subjects(self) -> list[str]:
        categories = {c for definition in self._definitions.values() for c in definition.categories}
        return [category_filter(self._store.location, c) for c in sorted(categories | {saga.saga.category})]

    async def _consume(self, stream: str, subjects: list[str], receive: Callable[[Msg], Awaitable[None]]) -> None:
        """Pull from a durable consumer for ever; an outage of the server only interrupts."""
        while True:
            try:
                await self._create_consumer(stream, subjects)
                self.ready.set()
                async with contextlib.aclosing(pulled(self._store.connection, stream, _CONSUMER)) as messages:
                    async for message in messages:
                        await receive(message)
            except (NatsError, OSError, LogUnavailable) as error:
                if self._store.connection.is_closed:
                    raise
                log.warning("the saga runner waits for %s: %s", stream, error)
                await asyncio.sleep(0.2)

    async def _create_consumer(self, stream: str, subjects: list[str]) -> None:
        answer = await ask(
            self._store.connection,
            f"CONSUMER.CREATE.{stream}.{_CONSUMER}",
            {
                "stream_name": stream,
                "config": {
                    "durable_name": _CONSUMER,
                    "name": _CONSUMER,
                    "filter_subjects": subjects,
                    "deliver_policy": "all",
                    "ack_policy": "explicit",
                    "ack_wait": int(self._ack_wait * 1e9),
                    "max_ack_pending": self._in_flight,
                    "max_deliver": -1,
                },
            },
        )
        if error_code(answer):
            raise LogUnavailable(answer["error"]["description"])

    async def _on_event(self, message: Msg) -> None:
        try:
            event = recorded(message.metadata.sequence.stream, message.data)
            woken = self._woken(event, self._store.decode(event))
        except EventStoreError as error:
            # A newer program may have written it, and may come to read it.
            log.error("an event that cannot be read wakes no saga; it stays pending: %s", error)
            return await message.nak(_UNREADABLE)
        if woken is None:
            await message.ack()
        else:
            definition, saga_id, input = woken
            self._wake(definition, saga_id, input, message, event)

    def _woken(self, event: Recorded, data: Any) -> tuple[SagaDefinition, str, Any] | None:
        if isinstance(data, saga.Resumed):
            resumed = self._definition_of(event.stream.id)
            return (resumed, event.stream.id, None) if resumed is not None else None
        for definition in self._definitions.values():
            if event.stream.category in definition.categories:
                heard = definition.listens(event, data)
                if heard is not None:
                    return definition, *heard
        return None

    def _definition_of(self, saga_id: str) -> SagaDefinition | None:
        """By the kind that its id begins with; no kind is the beginning of another."""
        return next((each for kind, each in self._definitions.items() if saga_id.startswith(f"{kind}-")), None)

    async def _on_timer(self, message: Msg) -> None:
        try:
            due = msgspec.json.decode(message.data, type=timers.Due)
        except msgspec.DecodeError as error:
            log.error("a message on %s is no timer: %s", message.subject, error)
            return await message.term()
        definition = self._definition_of(due.saga_id)
        if definition is None:
            return await message.ack()
        self._wake(definition, due.saga_id, TimedOut(due.timer), message, None)

    def _wake(
        self,
        definition: SagaDefinition,
        saga_id: str,
        input: saga.Started | Outcome | None,
        message: Msg,
        cause: Recorded | None,
    ) -> None:
        self._held.setdefault(saga_id, []).append(message)
        known = self._running.get(saga_id)
        if known is not None and not known[1].done():
            return known[0].give(input, cause)
        instance = Instance(self._store, self._tell, definition, saga_id, self._clock)
        instance.give(input, cause)
        task = asyncio.create_task(self._drive(saga_id, instance))
        self._running[saga_id] = (instance, task)

    async def _drive(self, saga_id: str, instance: Instance) -> None:
        try:
            await instance.run()
        except Exception:
            # Left pending: delivered again after the ack wait, so a passing cause heals and a lasting one shows.
            log.exception("saga %s stopped unexpectedly", saga_id)
            self._held.pop(saga_id, None)
            self._running.pop(saga_id, None)
            return
        del self._running[saga_id]
        for message in self._held.pop(saga_id, []):
            with contextlib.suppress(NatsError, OSError):
                await message.ack()

    async def _keep_hold(self) -> None:
        """Tell the server, in time, that the sagas under way are alive."""
        while True:
            await asyncio.sleep(self._ack_wait / 3)
            await self._acknowledge_taken()
            for message in [message for held in self._held.values() for message in held]:
                with contextlib.suppress(NatsError, OSError):
                    await message.in_progress()

    async def _acknowledge_taken(self) -> None:
        """What a saga under way has recorded need not come again; one message of it is enough to wake it.

        A saga may be under way for days, and the server hands out no more than so many unacknowledged messages to all.
        """
        for saga_id, (instance, _) in self._running.items():
            held = self._held.get(saga_id, [])
            spare = max(0, instance.taken - 1)
            instance.taken -= spare
            for message in held[:spare]:
                with contextlib.suppress(NatsError, OSError):
                    await message.ack()
            del held[:spare]

    async def _release(self) -> None:
        await end_tasks(*(task for _, task in self._running.values()))
        for message in [message for held in self._held.values() for message in held]:
            with contextlib.suppress(NatsError, OSError):
                await message.nak()
        self._held.clear()
