"""One HAProxy process, a child that dies with this one, in a private directory of its own."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal
import socket
import sys
import tempfile
from collections import deque
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from sagas.targets.process.running import LAUNCH
from sagas.targets.splitter.haproxy_log import Request, RequestLog
from sagas.targets.splitter.haproxy_runtime import Runtime

_LONGEST: Final = 100
_READY_WITHIN: Final = 10.0
_SETTLE: Final = 0.005
_CLOSE_WITHIN: Final = 7.0
"""A little more than HAProxy gives to what is in flight (hard-stop-after)."""


class Room:
    """A new directory. Sockets in it can be reached however long its path is (the system's limit is 107 bytes)."""

    def __init__(self, parent: Path) -> None:
        self.path = Path(tempfile.mkdtemp(dir=parent)).absolute()
        self._descriptor: int | None = os.open(self.path, os.O_RDONLY)

    def socket(self, name: str) -> Path:
        direct = self.path / name
        return direct if len(os.fsencode(direct)) < _LONGEST else Path(f"/proc/self/fd/{self._descriptor}/{name}")

    def leave(self) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None
        shutil.rmtree(self.path, ignore_errors=True)


class HAProxyProcess:
    """Make one with `spawn`."""

    def __init__(self, process: asyncio.subprocess.Process, room: Room, log: RequestLog) -> None:
        self.pid = process.pid
        self.runtime = Runtime(room.socket("runtime.sock"))
        self.log = log
        self._process = process
        self._room = room
        self._said: deque[str] = deque(maxlen=20)
        self._hearing = asyncio.create_task(self._hear())

    @classmethod
    async def spawn(
        cls,
        binary: str,
        parent: Path,
        files: Mapping[str, str],
        listener: socket.socket,
        heard: Callable[[Request], None],
    ) -> HAProxyProcess:
        """Answers on `listener`, which stays open here. `files`, by name, get a directory below `parent`.

        `heard` gets every request with a route once it is over. Raises OSError.
        """
        room = Room(parent)
        log = RequestLog(heard)
        try:
            for name, text in files.items():
                (room.path / name).write_text(text)
            await log.listen(room.socket("log.sock"))
            running = cls(await _launch(binary, listener, room.path), room, log)
        except BaseException:
            log.close()
            room.leave()
            raise
        try:
            await running._ready()
        except BaseException:
            await running.kill()
            raise
        return running

    async def ended(self, within: float | None = None) -> bool:
        """Waits for it, at most so many seconds."""
        try:
            await asyncio.wait_for(self._process.wait(), within)
        except TimeoutError:
            return False
        return True

    async def stop(self) -> None:
        """Takes no more requests; those in flight get 5 s. The listener has to be closed before."""
        self._signal(signal.SIGUSR1)
        await self.ended(_CLOSE_WITHIN)
        await self.kill()

    async def kill(self) -> None:
        """Also clears up after one that has ended; again does no harm."""
        self._signal(signal.SIGKILL)
        await self.ended()
        self._hearing.cancel()
        self.log.close()
        self._room.leave()

    def _signal(self, number: signal.Signals) -> None:
        with contextlib.suppress(ProcessLookupError):
            self._process.send_signal(number)

    async def _ready(self) -> None:
        try:
            async with asyncio.timeout(_READY_WITHIN):
                while not await self._answers():
                    if self._process.returncode is not None:
                        raise OSError(f"HAProxy does not start: {await self._complaint()}")
                    await asyncio.sleep(_SETTLE)
        except TimeoutError as error:
            raise OSError(f"HAProxy does not answer: {await self._complaint()}") from error

    async def _answers(self) -> bool:
        try:
            await self.runtime.answered()
        except OSError:
            return False
        return True

    async def _hear(self) -> None:
        assert self._process.stderr is not None
        async for line in self._process.stderr:
            self._said.append(line.decode(errors="replace").strip())

    async def _complaint(self) -> str:
        await asyncio.wait({self._hearing}, timeout=0.5)
        return next((line for line in self._said if "[ALERT]" in line), "it says nothing")


async def _launch(binary: str, listener: socket.socket, directory: Path) -> asyncio.subprocess.Process:
    ours = [sys.executable, "-I", "-S", str(LAUNCH), str(os.getpid()), str(int(signal.SIGKILL)), "-"]
    return await asyncio.create_subprocess_exec(
        *ours,
        *(binary, "-db", "-f", "haproxy.cfg"),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
        cwd=directory,
        env={**os.environ, "FRONT_FD": str(listener.fileno())},
        pass_fds=(listener.fileno(),),
        start_new_session=True,
    )
