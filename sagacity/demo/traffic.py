"""Constant traffic on a URL: what came back, from which release, and how many requests failed."""

from __future__ import annotations

import asyncio
import time
from collections import Counter

import httpx


class Traffic:
    """`clients` keep-alive clients, each asking every `interval` seconds. Use as an async context manager."""

    def __init__(self, url: str, *, clients: int = 4, interval: float = 0.01) -> None:
        self.url = url
        self.answered: Counter[str] = Counter()
        """Answers by release."""
        self.failed: list[str] = []
        """What went wrong, one entry a failed request."""
        self._clients = clients
        self._interval = interval
        self._tasks: list[asyncio.Task[None]] = []

    @property
    def total(self) -> int:
        return sum(self.answered.values()) + len(self.failed)

    async def __aenter__(self) -> Traffic:
        self._tasks = [asyncio.create_task(self._ask()) for _ in range(self._clients)]
        return self

    async def __aexit__(self, *_: object) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def seen(self, release: str, requests: int = 20, timeout: float = 30.0) -> bool:
        """Wait until a release has answered that many requests; False when it did not in time (seconds)."""
        deadline = time.monotonic() + timeout
        while self.answered[release] < requests and time.monotonic() < deadline:
            await asyncio.sleep(0.02)
        return self.answered[release] >= requests

    async def _ask(self) -> None:
        async with httpx.AsyncClient(timeout=10) as client:
            while True:
                try:
                    answer = await client.get(self.url)
                    if answer.status_code == 200:
                        self.answered[answer.json()["release"]] += 1
                    else:
                        self.failed.append(f"status {answer.status_code}")
                except (httpx.HTTPError, ValueError) as error:
                    self.failed.append(f"{type(error).__name__}: {error}")
                await asyncio.sleep(self._interval)
