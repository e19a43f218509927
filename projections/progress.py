"""How far the read models have come: asking, and waiting until it is far enough."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from typing import Final

import asyncpg

from projections.live import CHANNEL
from projections.tables import META, Connection

_FLOOR: Final = 0.25
"""Seconds between looks at the checkpoints when no notification comes."""

_PATIENCE: Final = 5.0
"""Seconds for each step of a look."""

_OUTAGES: Final = (OSError, asyncpg.PostgresError, asyncpg.InterfaceError, TimeoutError)


class Progress:
    """Nothing is remembered from one look to the next: a log that was replaced takes its positions along."""

    def __init__(self, pool: asyncpg.Pool[asyncpg.Record]) -> None:
        self._pool = pool
        self._waiting: dict[asyncio.Event, int] = {}
        self._next_look: asyncio.Task[Mapping[str, int]] | None = None
        self._one_look = asyncio.Lock()

    async def position(self, name: str) -> int:
        """How far the read model has come."""
        return (await self._positions()).get(name, 0)

    async def wait_for(self, name: str, wanted: int, timeout: float) -> int:
        """How far the read model has come, once that is `wanted`, or after `timeout` seconds."""
        deadline = time.monotonic() + timeout
        news = asyncio.Event()
        self._waiting[news] = wanted
        try:
            while True:
                news.clear()
                reached = await self.position(name)
                remaining = deadline - time.monotonic()
                if reached >= wanted or remaining <= 0:
                    return reached
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(news.wait(), min(_FLOOR, remaining))
        finally:
            del self._waiting[news]

    async def listen(self) -> None:
        """Hear of new positions at once; until cancelled. Without it, waiting only looks from time to time."""
        while True:
            with contextlib.suppress(*_OUTAGES):
                async with self._pool.acquire() as connection, self._listening(connection):
                    while not connection.is_closed():
                        await asyncio.sleep(0.5)
            await asyncio.sleep(0.5)

    @asynccontextmanager
    async def _listening(self, connection: Connection) -> AsyncGenerator[None]:
        await connection.add_listener(CHANNEL, self._on_news)
        try:
            yield
        finally:
            with contextlib.suppress(*_OUTAGES):  # else one would stand for the cancellation
                await connection.remove_listener(CHANNEL, self._on_news)

    def _on_news(self, *notified: object) -> None:
        """Some projections have come as far as the position that is told, not all of them: a reason to look, for
        those who wait for no more than that."""
        position = str(notified[-1])
        for news, wanted in self._waiting.items():
            if not position.isdecimal() or wanted <= int(position):
                news.set()

    async def _positions(self) -> Mapping[str, int]:
        """One look serves everybody who asks before it begins; one under way may be older than what they heard."""
        if self._next_look is None:
            self._next_look = asyncio.create_task(self._look())
        return await asyncio.shield(self._next_look)

    async def _look(self) -> Mapping[str, int]:
        async with self._one_look:
            self._next_look = None
            # Everybody waits for this connection: a dead one must not keep them, whichever step it dies in.
            async with self._pool.acquire(timeout=_PATIENCE) as connection:
                found = await connection.fetch(f"SELECT name, position FROM {META}.checkpoint", timeout=_PATIENCE)
        return {record["name"]: record["position"] for record in found}
