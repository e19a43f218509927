"""A release that is kept running: started, watched, started again when it ends by itself, stopped when told."""

from __future__ import annotations

import asyncio
import contextlib
import time
from typing import Final

from msgspec import Struct

from sagas.targets.port import Release, ReleaseFailed, Running
from sagas.targets.process.layout import Layout, Limits
from sagas.targets.process.output import ReleaseLog
from sagas.targets.process.ports import is_free, listens
from sagas.targets.process.reading import last_lines
from sagas.targets.process.running import RunningProcess

_STABLE: Final = 10.0
"""A release that ran this long (seconds) starts the next series of crashes with the shortest wait."""

_POLL: Final = 0.02


class Traffic(Struct, frozen=True):
    """What came to a release through the fronts."""

    requests: int = 0
    in_flight: int = 0
    errors: int = 0


NO_TRAFFIC: Final = Traffic()


def backoff(crashes: int) -> float:
    """Seconds before the next start after this many crashes in a row (from 1)."""
    return min(0.1 * 2 ** (crashes - 1), 30.0)


class Supervised:
    """Begin with either `start` (strict) or `resume` (goes on trying); `stop` ends both."""

    def __init__(self, start_key: str, port: int, release: Release, layout: Layout, limits: Limits) -> None:
        self.port = port
        self.problem: str | None = None
        """Why it does not run now."""
        self._key = start_key
        self._release = release
        self._layout = layout
        self._limits = limits
        self._log = ReleaseLog(layout.logs, start_key)
        self._process: RunningProcess | None = None
        self._keeper: asyncio.Task[None] | None = None
        self._restarts = 0
        self._last_exit: int | None = None

    async def start(self) -> None:
        """Returns when it listens, or lives on without listening yet. Raises ReleaseFailed; nothing is left then."""
        self._process = await self._spawn()
        deadline = time.monotonic() + self._limits.first
        while time.monotonic() < deadline and not await listens(self.port):
            done, _ = await asyncio.wait({self._process.exited}, timeout=_POLL)
            if done:
                raise ReleaseFailed(await self._exit_text(self._process.exited.result()))
        self._keeper = asyncio.create_task(self._keep())

    def resume(self) -> None:
        self._keeper = asyncio.create_task(self._keep())

    async def listening(self, within: float) -> bool:
        """Wait until it listens, at most `within` seconds, and not while it crashes."""
        deadline = time.monotonic() + within
        while time.monotonic() < deadline and self.problem is None:
            if self._process is not None and await listens(self.port):
                return True
            await asyncio.sleep(_POLL)
        return False

    async def stop(self) -> None:
        """Returns when no process of it is left."""
        if self._keeper is not None:
            self._keeper.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._keeper
        if self._process is not None:
            await self._process.end(self._limits.grace)
            self._process = None
        self._log.close()

    def report(self, traffic: Traffic = NO_TRAFFIC) -> Running:
        return Running(
            start_key=self._key,
            port=self.port,
            pid=self._process.pid if self._process else None,
            restarts=self._restarts,
            last_exit=self._last_exit,
            requests=traffic.requests,
            in_flight=traffic.in_flight,
            errors=traffic.errors,
        )

    async def _keep(self) -> None:
        crashes = 0
        while True:
            began = time.monotonic()
            try:
                if self._process is None:
                    self._process = await self._spawn()
                self.problem = None
                self._last_exit = code = await asyncio.shield(self._process.exited)
                self._process = None
                self.problem = await self._exit_text(code)
            except (ReleaseFailed, OSError) as error:
                self.problem = str(error)
            self._process = None
            crashes = 1 if time.monotonic() - began > _STABLE else crashes + 1
            await asyncio.sleep(backoff(crashes))
            self._restarts += 1

    async def _spawn(self) -> RunningProcess:
        if not is_free(self.port):
            raise ReleaseFailed(f"port {self.port} is taken by another program")
        # Shielded: a process must never come to be that nobody knows of.
        spawning = asyncio.ensure_future(
            RunningProcess.spawn(self._key, self.port, self._release, self._layout, self._log)
        )
        try:
            return await asyncio.shield(spawning)
        except asyncio.CancelledError:
            with contextlib.suppress(ReleaseFailed):
                self._process = await spawning
            raise

    async def _exit_text(self, code: int) -> str:
        how = f"exited with code {code}" if code >= 0 else f"was ended by signal {-code}"
        last = await asyncio.to_thread(last_lines, self._layout.logs, self._key, 3)
        said = " | ".join(line.text for line in last if line.text)[-500:]
        return f"{self._release.program} {how}" + (f"; its last words: {said}" if said else "")
