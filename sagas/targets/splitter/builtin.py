"""The built-in splitter: proxies inside this process. Nothing to install; a request costs about 0.4 ms of a core."""

from __future__ import annotations

import asyncio
from collections import Counter
from uuid import uuid4

import aiohttp

from domain.measurement import Reading
from sagas.targets.splitter.forwarding import client
from sagas.targets.splitter.front import Front
from sagas.targets.splitter.port import Route


class BuiltinSplitter:
    """Implements `sagas.targets.splitter.port.Splitter`. Its fronts listen on `host`."""

    def __init__(self, host: str = "127.0.0.1") -> None:
        self._host = host
        self._epoch = ""
        self._session: aiohttp.ClientSession | None = None
        self._fronts: dict[str, Front] = {}
        self._in_flight: Counter[str] = Counter()

    async def start(self) -> None:
        self._session = client()
        self._epoch = uuid4().hex

    async def open(self, front: str, port: int) -> None:
        assert self._session is not None, "it was not started"
        opening = Front(front, self._session, self._in_flight)
        await opening.listen(self._host, port)
        self._fronts[front] = opening

    async def route(self, front: str, route: Route) -> None:
        self._fronts[front].route(route)

    async def close(self, front: str) -> None:
        await self._fronts.pop(front).close()

    async def reading(self, front: str) -> Reading:
        return self._fronts[front].reading(self._epoch)

    async def in_flight(self, key: str) -> int:
        return self._in_flight[key]

    async def lost(self) -> None:
        await asyncio.get_running_loop().create_future()

    async def stop(self) -> None:
        await asyncio.gather(*(self.close(front) for front in list(self._fronts)))
        if self._session is not None:
            await self._session.close()
