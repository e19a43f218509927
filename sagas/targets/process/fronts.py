"""The fronts of a host, on a splitter: how they are split is always what the state on disk says."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections import Counter
from collections.abc import AsyncGenerator, Callable, Iterable
from typing import Final

from domain.measurement import Reading
from sagas.targets.port import TargetUnavailable
from sagas.targets.process import ledger
from sagas.targets.process.ledger import HostState
from sagas.targets.process.supervision import Traffic
from sagas.targets.splitter.port import Route, Splitter

_POLL: Final = 0.02
_LONGEST_PAUSE: Final = 5.0

log = logging.getLogger(__name__)


class Fronts:
    """They listen on `host`, as `splitter` does. `state` is what is on the disk now."""

    def __init__(self, splitter: Splitter, host: str, state: Callable[[], HostState]) -> None:
        self.host = host
        self._splitter = splitter
        self._state = state
        self._open: dict[str, int] = {}
        self._routes: dict[str, Route] = {}
        """Those that are in force."""
        self._changing = asyncio.Lock()
        self._lost = False

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncGenerator[None]:
        """Around everything else. Raises OSError when the splitter does not start."""
        await self._splitter.start()
        keeping = asyncio.create_task(self._keep())
        try:
            yield
        finally:
            keeping.cancel()
            await asyncio.gather(keeping, return_exceptions=True)
            await self._splitter.stop()

    async def open(self, name: str, port: int) -> None:
        """Raises OSError when the port is taken."""
        async with self._changing:
            await self._splitter.open(name, port)
            self._open[name] = port

    async def close(self, name: str) -> None:
        async with self._changing:
            self._open.pop(name, None)
            self._routes.pop(name, None)
            with contextlib.suppress(KeyError, OSError):
                await self._splitter.close(name)

    async def follow(self) -> None:
        """What the state says is in force when this returns. Raises TargetUnavailable."""
        async with self._changing:
            if self._lost:
                raise TargetUnavailable("the traffic splitter has ended; it is being started again")
            try:
                await self._apply()
            except OSError as error:
                raise TargetUnavailable(f"the traffic splitter takes no route: {error}") from error

    async def reading(self, name: str) -> Reading:
        """Raises TargetUnavailable."""
        if name not in self._state().fronts:
            return Reading("")
        try:
            return await self._splitter.reading(name)
        except (KeyError, OSError) as error:
            raise TargetUnavailable(f"the traffic splitter gives no counts: {error}") from error

    async def traffic(self, keys: Iterable[str]) -> dict[str, Traffic]:
        """What came to these releases through all fronts since the splitter began; nothing while it is lost."""
        requests, errors = Counter[str](), Counter[str]()
        with contextlib.suppress(TargetUnavailable):
            for name in list(self._routes):
                for key, counts in (await self.reading(name)).arms.items():
                    requests[key] += counts.requests
                    errors[key] += counts.errors
            return {key: Traffic(requests[key], await self._in_flight(key), errors[key]) for key in keys}
        return {}

    async def drain(self, key: str, within: float) -> None:
        """Wait until the release has nothing in flight, at most `within` seconds. Raises TargetUnavailable."""
        deadline = time.monotonic() + within
        while await self._in_flight(key) and time.monotonic() < deadline:
            await asyncio.sleep(_POLL)

    def url(self, port: int) -> str:
        """Where this machine reaches the front."""
        reached = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(self.host, self.host)
        return f"http://[{reached}]:{port}" if ":" in reached else f"http://{reached}:{port}"

    async def _in_flight(self, key: str) -> int:
        try:
            return await self._splitter.in_flight(key)
        except OSError as error:
            raise TargetUnavailable(f"the traffic splitter does not say what is in flight: {error}") from error

    async def _apply(self) -> None:
        state = self._state()
        for name in self._open.keys() & state.fronts.keys():
            route = ledger.route(state, name)
            if self._routes.get(name) != route:
                await self._splitter.route(name, route)
                self._routes[name] = route

    async def _keep(self) -> None:
        """Bring the splitter back whenever it is lost."""
        while True:
            await self._splitter.lost()
            log.warning("the traffic splitter has ended; it is started again")
            self._lost, pause = True, 0.1
            while self._lost:
                try:
                    async with self._changing:
                        await self._restart()
                        self._lost = False
                except OSError as error:
                    log.warning("the traffic splitter does not start: %s", error)
                    await asyncio.sleep(pause)
                    pause = min(2 * pause, _LONGEST_PAUSE)

    async def _restart(self) -> None:
        """Raises OSError."""
        self._routes.clear()
        await self._splitter.stop()
        await self._splitter.start()
        opening, self._open = self._open, {}
        try:
            for name, port in opening.items():
                await self._splitter.open(name, port)
                self._open[name] = port
                await self._apply()
        finally:
            self._open = opening
