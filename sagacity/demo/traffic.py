"""Constant traffic on a URL: what came back, from which release, and how many requests failed."""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter
from collections.abc import Sequence

import aiohttp


class Traffic:
    """`clients` keep-alive clients, each asking every `interval` seconds. Use as an async context manager."""

    def __init__(self, url: str, *, clients: int = 5, interval: float = 0.012) -> None:
        self.url = url
        self.paths: Sequence[str] = ("/",)
        """Every client asks for all of them, in an order of its own, again and again."""
        self.answered: Counter[str] = Counter()
        """Good answers by release."""
        self.last: dict[str, float] = {}
        """When a release last answered, by the monotonic clock."""
        self.wrong: Counter[str] = Counter()
        """Answers by release in which it said itself that it failed."""
        self.lost: list[str] = []
        """What went wrong on the way, one entry a request."""
        self._clients = clients
        self._interval = interval
        self._tasks: list[asyncio.Task[None]] = []

    @property
    def failed(self) -> int:
        return self.wrong.total() + len(self.lost)

    @property
    def total(self) -> int:
        return self.answered.total() + self.failed

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

    async def browse(self) -> None:
        """From now on all products of the shop are asked for. Raises aiohttp.ClientError."""
        async with (
            aiohttp.ClientSession() as client,
            client.get(f"{self.url}/products", raise_for_status=True) as answer,
        ):
            products = (await answer.json())["products"]
        self.paths = [f"/products/{product['id']}" for product in products]

    async def _ask(self) -> None:
        timeout = aiohttp.ClientTimeout(total=10)
        async with aiohttp.ClientSession(timeout=timeout, middlewares=(_once,)) as client:
            while True:
                for path in random.sample(self.paths, len(self.paths)):
                    await self._visit(client, path)
                    await asyncio.sleep(self._interval)

    async def _visit(self, client: aiohttp.ClientSession, path: str) -> None:
        try:
            async with client.get(f"{self.url}{path}") as answer:
                release = (await answer.json())["release"]
                (self.answered if answer.status == 200 else self.wrong)[release] += 1
                self.last[release] = time.monotonic()
        except (aiohttp.ClientError, TimeoutError, ValueError, KeyError) as error:
            self.lost.append(f"{path}: {type(error).__name__}: {error}")


class _Lost(aiohttp.ClientConnectionError):
    pass


async def _once(request: aiohttp.ClientRequest, send: aiohttp.ClientHandlerType) -> aiohttp.ClientResponse:
    """aiohttp sends a request again when the connection broke: then nobody would see that one was lost."""
    try:
        return await send(request)
    except (aiohttp.ClientOSError, aiohttp.ServerDisconnectedError) as error:
        raise _Lost(str(error)) from error
