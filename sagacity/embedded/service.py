"""One child process: how it is started, found again after a crash of ours, and stopped."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import os
import signal
import sys
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, Final

_LOG_LIMIT: Final = 16 * 1024 * 1024
_SET_DEATH_SIGNAL: Final = 1


class StartFailed(Exception):
    """The service did not become ready; the text ends with the last lines of its log."""


@dataclass(frozen=True)
class Service:
    """What to run. `ready` is asked until it says yes; times are in seconds.

    `insist`: how long an exit during the start is answered by another try.
    """

    name: str
    command: tuple[str, ...]
    ready: Callable[[], Awaitable[bool]]
    environment: Mapping[str, str] = field(default_factory=dict[str, str])
    directory: Path | None = None
    user: int | None = None
    stop_signal: signal.Signals = signal.SIGTERM
    grace: float = 15.0
    patience: float = 60.0
    insist: float = 0.0


class Child:
    """A running service. Its whole process group ends with it, and it ends with us (on Linux, even after kill -9)."""

    def __init__(self, service: Service, run: Path, logs: Path) -> None:
        self.service = service
        self._pid_file = run / f"{service.name}.pid"
        self._log = logs / f"{service.name}.log"
        self._process: asyncio.subprocess.Process | None = None

    @property
    def pid(self) -> int:
        return self._process.pid if self._process else 0

    @property
    def has_ended(self) -> bool:
        return self._process is not None and self._process.returncode is not None

    async def start(self) -> None:
        """Returns once it is ready. Raises StartFailed."""
        await self._end_leftover()
        self._bound_log()
        began = asyncio.get_running_loop().time()
        while True:
            try:
                return await self._start_once()
            except StartFailed:
                if asyncio.get_running_loop().time() - began > self.service.insist:
                    raise
            await asyncio.sleep(0.3)

    async def _start_once(self) -> None:
        with self._log.open("ab") as log:
            try:
                self._process = await self._spawn(log)
            except OSError as error:
                raise StartFailed(f"{self.service.name} cannot be started: {error}") from error
        self._pid_file.write_text(f"{self.pid} {_birth(self.pid)}")
        await self._until_ready()

    async def _spawn(self, log: BinaryIO) -> asyncio.subprocess.Process:
        service = self.service
        return await asyncio.create_subprocess_exec(
            *service.command,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env={**os.environ, **service.environment},
            cwd=service.directory,
            start_new_session=True,
            preexec_fn=_die_with_parent(service.stop_signal),
            user=service.user,
            group=service.user,
            extra_groups=None if service.user is None else [],
        )

    async def wait(self) -> int:
        """Its exit code, once it has ended."""
        assert self._process is not None
        return await self._process.wait()

    async def stop(self) -> None:
        process = self._process
        if process is None:
            return
        _signal_group(process.pid, self.service.stop_signal)
        try:
            await asyncio.wait_for(process.wait(), self.service.grace)
        except TimeoutError:
            _signal_group(process.pid, signal.SIGKILL)
            await process.wait()
        self._pid_file.unlink(missing_ok=True)

    async def _until_ready(self) -> None:
        service, process = self.service, self._process
        assert process is not None
        deadline = asyncio.get_running_loop().time() + service.patience
        while not await service.ready():
            if process.returncode is not None:
                raise StartFailed(f"{service.name} ended with code {process.returncode}: {self._last_words()}")
            if asyncio.get_running_loop().time() > deadline:
                await self.stop()
                raise StartFailed(f"{service.name} is not ready after {service.patience:g} s: {self._last_words()}")
            await asyncio.sleep(0.05)

    async def _end_leftover(self) -> None:
        """A child of a previous instance that was killed. A pid alone proves nothing; its birth does."""
        with contextlib.suppress(OSError, ValueError):
            pid, birth = map(int, self._pid_file.read_text().split())
            if birth and _birth(pid) == birth:
                _signal_group(pid, self.service.stop_signal)
                for _ in range(int(self.service.grace * 20)):
                    if _birth(pid) != birth:
                        break
                    await asyncio.sleep(0.05)
                else:
                    _signal_group(pid, signal.SIGKILL)
        self._pid_file.unlink(missing_ok=True)

    def _bound_log(self) -> None:
        with contextlib.suppress(FileNotFoundError):
            if self._log.stat().st_size > _LOG_LIMIT:
                self._log.replace(self._log.with_suffix(".log.1"))

    def _last_words(self) -> str:
        lines = self._log.read_text(errors="replace").splitlines()
        return " | ".join(lines[-3:]) or "it said nothing"


def _die_with_parent(with_signal: signal.Signals) -> Callable[[], None] | None:
    if not sys.platform.startswith("linux"):
        return None
    set_option = ctypes.CDLL(None).prctl

    def arm() -> None:
        set_option(_SET_DEATH_SIGNAL, int(with_signal))

    return arm


def _birth(pid: int) -> int:
    """The moment a process began, in ticks since boot; 0 where there is no such process (or no /proc)."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return 0
    after_name = stat.rpartition(")")[2].split()
    return 0 if after_name[0] == "Z" else int(after_name[19])


def _signal_group(pid: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, number)
