"""How many bytes of attachments are in memory at a time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager


class Held:
    def __init__(self, room: Room, size: int) -> None:
        self._room = room
        self.size = size

    def correct(self, size: int) -> None:
        """It turned out to be of another size; nobody new is let in before there is room again."""
        self._room.free += self.size - size
        self.size = size
        self._room.freed.set()


class Room:
    """First come, first served: what is large is not overtaken for ever by what is small."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._turn = asyncio.Lock()
        self.free = size
        self.freed = asyncio.Event()

    @asynccontextmanager
    async def of(self, size: int) -> AsyncGenerator[Held]:
        size = min(max(0, size), self._size)
        async with self._turn:
            while self.free < size:
                self.freed.clear()
                await self.freed.wait()
            self.free -= size
        held = Held(self, size)
        try:
            yield held
        finally:
            held.correct(0)
