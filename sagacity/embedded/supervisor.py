"""Keeps services running: starts them in order, restarts one that dies, stops them in reverse."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from types import TracebackType
from typing import Final

from eventstore.tasks import end_tasks
from sagacity.embedded.directory import DataDirectory
from sagacity.embedded.probing import until_it_hangs
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
            if child.pid:
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
        while True:
            self._tell(f"{child.service.name} {await _end_of(child)}; it is started again")
            await self._start_again(child)
            self._tell(f"{child.service.name} ready again (process {child.pid})")

    async def _start_again(self, child: Child) -> None:
        """As often as it takes; one line says why each attempt failed."""
        pause = 0.1
        while True:
            try:
                return await child.start()
            except StartFailed as error:
                self._tell(str(error))
            await asyncio.sleep(pause)
            pause = min(pause * 2, _LONGEST_PAUSE)


async def _end_of(child: Child) -> str:
    """Waits until it has ended, by itself or because it hung and was killed for it; how, in words."""
    ended, hanging = asyncio.create_task(child.wait()), asyncio.create_task(until_it_hangs(child.service.probe))
    try:
        await asyncio.wait({ended, hanging}, return_when=asyncio.FIRST_COMPLETED)
        if ended.done():
            return f"ended unexpectedly {child.how_it_ended()}"
        child.kill()
        await ended
        return "does not answer any more and was killed"
    finally:
        await end_tasks(ended, hanging)
