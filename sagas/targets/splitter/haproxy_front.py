"""A front that HAProxy answers: its listening socket is ours, so that it outlives the process behind it.

When HAProxy dies it is started again and gets the last route; what connects meanwhile waits in the socket's queue.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
from collections.abc import Awaitable, Callable, Mapping
from typing import Final

from domain.measurement import Reading
from sagas.targets.splitter.counting import FrontCounts
from sagas.targets.splitter.haproxy_log import Request, count
from sagas.targets.splitter.haproxy_process import HAProxyProcess
from sagas.targets.splitter.haproxy_route import SLOTS, assign, files, maps, takers
from sagas.targets.splitter.port import Route

log = logging.getLogger(__name__)

Starting = Callable[[Mapping[str, str], socket.socket, Callable[[Request], None]], Awaitable[HAProxyProcess]]
"""The rest of `HAProxyProcess.spawn`."""

_CATCH_UP: Final = 2.0


class HAProxyFront:
    """Make one with `open`."""

    def __init__(self, name: str, start: Starting, listener: socket.socket, lost: asyncio.Event) -> None:
        self._name = name
        self._start = start
        self._listener = listener
        self._lost = lost
        self._counts = FrontCounts()
        self._route = Route()
        self._slots: dict[str, int] = {}
        self._keys: dict[int, str] = {}
        self._ready: set[int] = set()
        self._changing = asyncio.Lock()
        self._process: HAProxyProcess
        self._keeping: asyncio.Task[None]

    @classmethod
    async def open(cls, name: str, start: Starting, address: tuple[str, int], lost: asyncio.Event) -> HAProxyFront:
        """`lost` is set when HAProxy has died and does not start again. Raises OSError."""
        family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
        listener = socket.create_server(address, family=family, backlog=1024)
        front = cls(name, start, listener, lost)
        try:
            await front._begin()
        except BaseException:
            listener.close()
            raise
        front._keeping = asyncio.create_task(front._keep())
        return front

    @property
    def pid(self) -> int:
        return self._process.pid

    async def route(self, route: Route) -> None:
        """Raises OSError."""
        async with self._changing:
            self._must_work()
            running = self._process
            slots = assign(self._slots, route.arms, await self._idle(len(route.arms)))
            entries = maps(route, slots)
            self._route, self._slots = route, slots
            self._counts.routed(tuple(arm.key for arm in route.arms))
            self._keys = {slot: key for key, slot in slots.items()}
            try:
                await self._apply(entries)
            except OSError:
                if not await running.ended(within=1.0):
                    raise
                await self._begin_again()
                self._must_work()

    async def reading(self, epoch: str) -> Reading:
        """Waits until all that was answered by now is counted."""
        running = await self._settled()
        with contextlib.suppress(OSError):  # it has just died: no more will come
            missing = await running.log.missing(await running.runtime.answered(), _CATCH_UP)
            if missing:
                log.warning(
                    "the front %s: %d requests are not counted, log lines are late or lost", self._name, missing
                )
        return self._counts.reading(epoch)

    async def in_flight(self, key: str) -> int | None:
        """None when the key was never routed here."""
        slot = self._slots.get(key)
        if slot is None:
            return None
        try:
            return await (await self._settled()).runtime.in_flight(slot)
        except OSError:
            return 0  # it has just died, and all connections with it

    async def close(self) -> None:
        self._keeping.cancel()
        await asyncio.gather(self._keeping, return_exceptions=True)
        self._listener.close()
        await self._process.stop()

    async def _idle(self, arms: int) -> set[int]:
        """Empty while there are other slots enough."""
        return await self._process.runtime.idle() if len(self._slots) + arms > len(SLOTS) else set()

    async def _apply(self, entries: Mapping[str, tuple[str, ...]]) -> None:
        """New arms first, and last out of the way what left: between them there is an arm for every ticket."""
        taking = takers(self._route, self._slots)
        leaving = self._ready - taking
        self._ready |= taking
        runtime = self._process.runtime
        await runtime.change(
            [
                command
                for arm in self._route.arms
                for command in _enter(self._slots[arm.key], arm.port, takes=self._slots[arm.key] in taking)
            ]
        )
        await runtime.replace(entries)
        await runtime.change([f"set server front/s{slot} state maint" for slot in leaving])
        self._ready = taking

    async def _settled(self) -> HAProxyProcess:
        """Once no route is being changed, and a new process is there after one that died."""
        async with self._changing:
            return self._process

    def _must_work(self) -> None:
        if self._lost.is_set():
            raise OSError("HAProxy has ended and does not start again")

    def _heard(self, request: Request) -> None:
        count(self._counts.arm(self._keys.get(request.slot, "")), request)

    async def _keep(self) -> None:
        while not self._lost.is_set():
            running = self._process
            await running.ended()
            async with self._changing:
                if self._process is running:
                    await self._begin_again()

    async def _begin(self) -> None:
        self._process = await self._start(files(self._route, self._slots), self._listener, self._heard)
        self._ready = takers(self._route, self._slots)

    async def _begin_again(self) -> None:
        """With the last route. Raises nothing: what cannot be had any more is lost."""
        dead = self._process
        await dead.kill()
        log.warning("HAProxy of the front %s has ended and is started again", self._name)
        try:
            await self._begin()
        except OSError as error:
            log.error("the front %s is lost: %s", self._name, error)
            self._lost.set()


def _enter(slot: int, port: int, *, takes: bool) -> list[str]:
    server = f"front/s{slot}"
    commands = [f"set server {server} addr 127.0.0.1 port {port}"]
    return [*commands, f"set server {server} state ready"] if takes else commands
