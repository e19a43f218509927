"""Knowing everything about one category of the log: all that is there, then what comes, whatever becomes of the log."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Final

from nats.errors import Error as NatsError

from eventstore.envelope import Recorded
from eventstore.errors import EventStoreError
from eventstore.store import EventStore

log = logging.getLogger(__name__)

_PAUSE: Final = 0.5
"""Seconds."""


async def keep_up(
    store: EventStore,
    category: str,
    take: Callable[[Recorded], None],
    caught_up: Callable[[], Awaitable[None]],
) -> None:
    """Until cancelled. Every event is taken once and in order; one that `take` raises EventStoreError for is offered
    again. `caught_up` is awaited when all that was there is taken, and then after whatever comes together. What goes
    wrong is told once, and tried again."""
    position, told = 0, ""
    while True:
        try:
            while page := await store.read(position, category=category):
                for event in page:
                    take(event)
                    position = event.position
            await caught_up()
            async with store.follow(position, categories=[category]) as feed:
                async for batch in feed.batches():
                    for event in batch:
                        take(event)
                        position = event.position
                    await caught_up()
        except (EventStoreError, NatsError, OSError) as error:
            if told != str(error):
                log.error("what happens to each %s is not heard of: %s", category, error)
                told = str(error)
        await asyncio.sleep(_PAUSE)
