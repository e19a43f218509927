"""What is taken from the queue of a skill, and when: one call at a time, and only when there is room for it, so that
nobody holds what others could do; more of a long queue, and nothing but at its moments of what is scheduled."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from datetime import UTC
from typing import Any, Final

from cronsim import CronSim
from faststream import AckPolicy
from faststream.nats import ConsumerConfig, JStream, NatsBroker, NatsMessage, PullSub

from eventstore.connection import Connection
from eventstore.envelope import now
from eventstore.errors import LogUnavailable
from skills.protocol import WORK, work_subject
from skills.serving import Serving
from skills.streams import consumer_name, waiting

_LONG_QUEUE: Final = 1_000
"""Waiting calls from which a queue_based skill takes many at a time."""

_BATCH: Final = 100
_LOOK: Final = 1.0
_ASKED: Final = 5.0
"""Seconds until a request for a message is made anew."""


class Queue:
    """Of one skill of one worker."""

    def __init__(self, broker: NatsBroker, connection: Connection, serving: Serving) -> None:
        self._connection = connection
        self._serving = serving
        self._specification = serving.skill.specification
        self._single = self._subscriber(broker, 1)
        self._batch = self._subscriber(broker, _BATCH)

    async def follow(self) -> None:
        """For ever."""
        match self._specification.scaling:
            case "horizontal" | "event_driven":
                await self._single.start()
                await asyncio.Event().wait()
            case "queue_based":
                await self._single.start()
                await self._by_length()
            case "scheduled":
                await self._by_schedule()

    async def stop(self) -> None:
        """Nothing more is taken."""
        await asyncio.gather(self._single.stop(), self._batch.stop())

    async def _by_length(self) -> None:
        while True:
            long = await self._waiting() > _LONG_QUEUE
            if long and not self._batch.running:
                await self._batch.start()
            elif not long and self._batch.running:
                await self._batch.stop()
            await asyncio.sleep(_LOOK)

    async def _by_schedule(self) -> None:
        """All that waits at the moment; what comes later waits for the next."""
        while True:
            moment = next(CronSim(self._specification.schedule, now().astimezone(UTC)))
            await asyncio.sleep(max(0.0, (moment - now()).total_seconds()))
            await self._single.start()
            await asyncio.sleep(_LOOK)
            while await self._waiting() or self._serving.running:
                await asyncio.sleep(_LOOK)
            await self._single.stop()

    async def _waiting(self) -> int:
        try:
            return await waiting(self._connection, self._serving.skill.name, self._specification.version)
        except LogUnavailable:
            return 0

    def _subscriber(self, broker: NatsBroker, size: int) -> Any:
        """FastStream's types of subscribers are many; this one starts, stops and knows whether it runs."""
        name, version = self._serving.skill.name, self._specification.version
        subscriber = broker.subscriber(
            work_subject(name, version),
            durable=consumer_name(name, version),
            stream=JStream(WORK, declare=False),
            pull_sub=PullSub(batch_size=size, timeout=_ASKED),
            ack_policy=AckPolicy.MANUAL,
            decoder=_as_it_came,
            config=ConsumerConfig(ack_wait=self._specification.lease, max_deliver=-1),
        )
        subscriber(_taking(self._serving))
        return subscriber


def _taking(serving: Serving) -> Callable[[NatsMessage], Coroutine[Any, Any, None]]:
    async def take(message: NatsMessage) -> None:
        await serving.take(message.raw_message)

    return take


async def _as_it_came(message: NatsMessage) -> bytes:
    """Not FastStream's decoding: what cannot be decoded is to be refused by us."""
    return message.body
