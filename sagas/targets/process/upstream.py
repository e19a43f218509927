"""A release as the fronts see it: where it is, and what it is answering."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Generator


class Upstream:
    """Counts of one release since it was started."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.requests = 0
        self.errors = 0
        self.in_flight = 0
        self._idle = asyncio.Event()
        self._idle.set()

    @contextlib.contextmanager
    def busy(self) -> Generator[None]:
        """Around everything that needs the release to go on running."""
        self.in_flight += 1
        self._idle.clear()
        try:
            yield
        finally:
            self.in_flight -= 1
            if not self.in_flight:
                self._idle.set()

    def count(self, *, failed: bool) -> None:
        self.requests += 1
        self.errors += failed

    async def drained(self, within: float) -> bool:
        """Wait until nothing is in flight, at most `within` seconds."""
        try:
            await asyncio.wait_for(self._idle.wait(), within)
        except TimeoutError:
            return False
        return True
