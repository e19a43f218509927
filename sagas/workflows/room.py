"""How many runs one engine has in hand: what is begun takes memory until it rests or is over.

What wakes runs that were begun before comes in for longer than what begins new ones: these would only wait for each
other. Nothing waits for ever: a run in hand that only waits for others is left, whatever it waits for.
"""

from __future__ import annotations

import asyncio
from typing import Final

_AT_ONCE: Final = 8
"""The part of the room that is to be free before more is asked for: one by one would cost more than it brings."""


class Room:
    """For `most` runs, which may be changed at any time."""

    def __init__(self, most: int) -> None:
        self.most = most
        self._taken = 0
        self._left = asyncio.Event()

    @property
    def taken(self) -> int:
        return self._taken

    @property
    def is_full(self) -> bool:
        return self._taken >= self.most

    def enter(self) -> None:
        self._taken += 1

    def leave(self) -> None:
        self._taken -= 1
        self._left.set()

    async def free(self, times: int = 1) -> int:
        """How many may come in, once it is worth while, where so many `times` as many may."""
        most = self.most * times
        least = max(1, most // _AT_ONCE)
        while most - self._taken < least:
            self._left.clear()
            await self._left.wait()
        return most - self._taken
