"""What is sent, once: also when the saga was interrupted meanwhile, or the log was away when it should be recorded."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from datetime import datetime
from functools import partial
from typing import Final, NamedTuple

from sagas.timers import Clock

_KEPT: Final = 1_000
_PATIENCE: Final = 60.0
"""Seconds that an ending waits for what is under way."""


class Delivery(NamedTuple):
    external_id: str
    at: datetime


class Deliveries:
    """By key, the latest thousand. Only of this process: after a crash nobody knows what was under way, and only a
    platform that knows keys can tell that it has the message already."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._known: OrderedDict[str, asyncio.Task[Delivery]] = OrderedDict()

    async def once(self, key: str, send: Callable[[], Awaitable[str]]) -> Delivery:
        """Goes on when whoever waits for it is cancelled. Raises what `send` raises; then it may be tried again."""
        task = self._known.get(key)
        if task is None:
            task = asyncio.create_task(self._deliver(send))
            task.add_done_callback(partial(self._settle, key))
            self._known[key] = task
            while len(self._known) > _KEPT:
                self._known.popitem(last=False)
        return await asyncio.shield(task)

    async def outcome(self, key: str) -> Delivery | None:
        """None: it was not sent, as far as this process knows."""
        task = self._known.get(key)
        if task is None:
            return None
        await asyncio.wait({task}, timeout=_PATIENCE)
        return task.result() if task.done() and not task.cancelled() and task.exception() is None else None

    async def _deliver(self, send: Callable[[], Awaitable[str]]) -> Delivery:
        return Delivery(await send(), self._clock())

    def _settle(self, key: str, task: asyncio.Task[Delivery]) -> None:
        if task.cancelled() or task.exception() is not None:
            self._known.pop(key, None)
