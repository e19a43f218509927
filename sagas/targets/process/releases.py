"""All releases that run now, by start key."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Final

import aiohttp

from sagas.targets.port import Health, Release, ReleaseFailed, Running
from sagas.targets.process.layout import Layout, Limits
from sagas.targets.process.supervision import NO_TRAFFIC, Supervised, Traffic

_PROBE: Final = aiohttp.ClientTimeout(total=2.0)


class Releases:
    def __init__(self, layout: Layout, limits: Limits) -> None:
        self._layout = layout
        self._limits = limits
        self._all: dict[str, Supervised] = {}

    async def start(self, key: str, port: int, release: Release) -> None:
        """Raises ReleaseFailed, and leaves nothing then."""
        supervised = self._add(key, port, release)
        try:
            await supervised.start()
        except ReleaseFailed:
            await self.stop(key)
            raise

    async def start_listening(self, key: str, port: int, release: Release) -> None:
        """Like `start`, and wait until it listens."""
        await self.start(key, port, release)
        if not await self._all[key].listening(self._limits.listen):
            await self.stop(key)
            raise ReleaseFailed(f"{release.program} does not listen on port {port}")

    def resume(self, key: str, port: int, release: Release) -> None:
        """Start without waiting, and go on trying."""
        self._add(key, port, release).resume()

    async def listening(self, within: float) -> None:
        """Wait until all that run also listen, at most `within` seconds."""
        await asyncio.gather(*(supervised.listening(within) for supervised in self._all.values()))

    async def stop(self, key: str) -> None:
        if key in self._all:
            await self._all[key].stop()
            self._all.pop(key, None)

    async def stop_all(self) -> None:
        await asyncio.gather(*(self.stop(key) for key in list(self._all)))

    def keys(self) -> set[str]:
        return set(self._all)

    def restarts(self, key: str) -> int:
        """Since this host runs it; 0 for a release that does not run here."""
        supervised = self._all.get(key)
        return supervised.report().restarts if supervised else 0

    def inventory(self, traffic: Mapping[str, Traffic]) -> tuple[Running, ...]:
        """`traffic` by start key; one that is not there had none."""
        return tuple(supervised.report(traffic.get(key, NO_TRAFFIC)) for key, supervised in self._all.items())

    async def health(self, key: str, path: str) -> Health:
        supervised = self._all.get(key)
        if supervised is None:
            return Health(False, False, "it is not running")
        found = await _probe(supervised.port, path)
        report = supervised.report()
        if not report.restarts and supervised.problem is None:
            return found
        problem = supervised.problem or f"last exit code {report.last_exit}"
        return Health(found.healthy, found.answered, f"{found.detail}; restarted {report.restarts} times; {problem}")

    def _add(self, key: str, port: int, release: Release) -> Supervised:
        self._all[key] = Supervised(key, port, release, self._layout, self._limits)
        return self._all[key]


async def _probe(port: int, path: str) -> Health:
    url = f"http://127.0.0.1:{port}{path}"
    try:
        async with aiohttp.ClientSession(timeout=_PROBE) as client, client.get(url, allow_redirects=False) as answer:
            said = (await answer.content.read(300)).decode(errors="replace").strip()
            healthy = 200 <= answer.status < 400
            return Health(healthy, True, f"{path} answered {answer.status}" + ("" if healthy else f": {said}"))
    except aiohttp.ClientConnectorError:
        return Health(False, False, f"nothing listens on port {port} yet")
    except TimeoutError:
        return Health(False, True, f"{path} gave no answer within {_PROBE.total:g} s")
    except (aiohttp.ClientError, OSError, ValueError) as error:
        return Health(False, True, f"{path} gave no HTTP answer: {type(error).__name__}")
