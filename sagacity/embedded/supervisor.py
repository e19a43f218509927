"""Keeps services running: starts them in order, restarts one that dies, stops them in reverse."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from types import TracebackType
from typing import Final

from sagacity.embedded.directory import DataDirectory
from sagacity.embedded.service import Child, Service, StartFailed

_LONGEST_PAUSE: Final = 10.0
_LOOK_AT_LOGS: Final = 1.0

Tell = Callable[[str], None]
"""Receives one line about a service, for people."""


class Supervisor:
    """Use as an async context manager; leaving it stops everything."""

    def __init__(self, directory: DataDirectory, tell: Tell) -> None:
        self._directory = directory
        self._tell = tell
        self._children: list[Child] = []
        self._watchers: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> Supervisor:
        self._watchers.append(asyncio.create_task(self._bound_logs()))
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: object, trace: TracebackType | None) -> None:
        for watcher in self._watchers:
            watcher.cancel()
        await asyncio.gather(*self._watchers, return_exceptions=True)
        for child in reversed(self._children):
            await child.stop()
            self._tell(f"{child.service.name} stopped")

    async def start(self, service: Service) -> None:
        """Start a service, wait until it is ready and keep it running from then on. Raises StartFailed."""
        child = Child(service, self._directory.run, self._directory.logs)
        self._children.append(child)
        await child.start()
        self._tell(f"{service.name} ready (process {child.pid})")
        self._watchers.append(asyncio.create_task(self._keep_running(child)))

    async def _bound_logs(self) -> None:
        while True:
            await asyncio.sleep(_LOOK_AT_LOGS)
            for child in self._children:
                with contextlib.suppress(OSError):  # a full disk must not stop the platform for its logs' sake
                    await asyncio.to_thread(child.bound_log)

    async def _keep_running(self, child: Child) -> None:
        pause = 0.1
        while True:
            code = await child.wait()
            self._tell(f"{child.service.name} ended unexpectedly ({_how(code)}); it is started again")
            while True:
                try:
                    await child.start()
                    break
                except StartFailed as error:
                    self._tell(str(error))
                    await asyncio.sleep(pause)
                    pause = min(pause * 2, _LONGEST_PAUSE)
            pause = 0.1
            self._tell(f"{child.service.name} ready again (process {child.pid})")


def _how(code: int) -> str:
    return f"signal {-code}" if code < 0 else f"code {code}"
