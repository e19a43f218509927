"""All fronts of a host, by name."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import aiohttp

from sagas.targets.process.front import Front
from sagas.targets.process.upstream import Upstream


class Fronts:
    """They listen on `host`. `leads_to` says where a front leads, anew for every request."""

    def __init__(self, host: str, leads_to: Callable[[str], Upstream | None], session: aiohttp.ClientSession) -> None:
        self.host = host
        self._leads_to = leads_to
        self._session = session
        self._open: dict[str, Front] = {}

    async def open(self, name: str, port: int) -> None:
        """Raises OSError when the port is taken."""
        front = Front(name, lambda: self._leads_to(name), self._session)
        await front.listen(self.host, port)
        self._open[name] = front

    async def close(self, name: str) -> None:
        front = self._open.pop(name, None)
        if front is not None:
            await front.close()

    async def close_all(self) -> None:
        await asyncio.gather(*(self.close(name) for name in list(self._open)))

    def url(self, port: int) -> str:
        """Where this machine reaches the front."""
        reached = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(self.host, self.host)
        return f"http://[{reached}]:{port}" if ":" in reached else f"http://{reached}:{port}"
