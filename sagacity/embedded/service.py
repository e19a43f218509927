"""One child process: how it is started, found again after a crash of ours, and stopped."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal
import sys
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, Final

from sagacity.embedded.last_words import last_words
from sagacity.embedded.probing import Probe
from sagas.targets.process.running import LAUNCH

_READ: Final = 64 * 1024
"""Bytes of a log in which its last words are looked for."""


class StartFailed(Exception):
    """The service did not become ready; the text says what it said last, and where its log is."""


@dataclass(frozen=True)
class Service:
    """What to run. `prepare` is called before every start, then `ready` is asked until it says yes.

    Times are in seconds. `insist`: how long an exit during the start is answered by another try. `log_limit`: bytes
    of its log after which the older half of what is kept gives way. `probe`: how it shows, once ready, that it does
    not hang.
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
    prepare: Callable[[], None] = lambda: None
    log_limit: int = 16 * 1024 * 1024
    probe: Probe | None = None


class Child:
    """A running service. Its whole process group ends with it, and it ends with us (on Linux, even after kill -9)."""

    def __init__(self, service: Service, run: Path, logs: Path) -> None:
        self.service = service
        self._pid_file = run / f"{service.name}.pid"
        self._log = logs / f"{service.name}.log"
        self._log_begins = 0
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
        self.bound_log()
        began = asyncio.get_running_loop().time()
        while True:
            try:
                return await self._start_once()
            except StartFailed:
                if asyncio.get_running_loop().time() - began > self.service.insist:
                    raise
            await asyncio.sleep(0.3)

    async def _start_once(self) -> None:
        self.service.prepare()
        with self._log.open("ab") as log:
            self._log_begins = log.tell()
            try:
                self._process = await self._spawn(log)
            except OSError as error:
                raise StartFailed(f"{self.service.name} cannot be started: {error}") from error
        self._pid_file.write_text(f"{self.pid} {_birth(self.pid)}")
        await self._until_ready()

    async def _spawn(self, log: BinaryIO) -> asyncio.subprocess.Process:
        service = self.service
        user = "-" if service.user is None else str(service.user)
        return await asyncio.create_subprocess_exec(
            *(sys.executable, "-I", "-S", str(LAUNCH), str(os.getpid()), str(int(service.stop_signal)), user),
            *service.command,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env={**os.environ, **service.environment},
            cwd=service.directory,
            start_new_session=True,
        )

    async def wait(self) -> int:
        """Its exit code, once it has ended."""
        assert self._process is not None
        return await self._process.wait()

    def how_it_ended(self) -> str:
        """In words, with what it said last and where its log is. Only for one that has ended."""
        assert self._process is not None
        code = self._process.returncode or 0
        if code < 0:  # whoever is killed has no last words
            return f"by signal {-code}; its log: {self._log}"
        return f"with code {code}: {self._last_words()}; its log: {self._log}"

    def kill(self) -> None:
        """For one that hangs: `stop` asks first."""
        _signal_group(self.pid, signal.SIGKILL)

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
                raise StartFailed(f"{service.name} ended {self.how_it_ended()}")
            if asyncio.get_running_loop().time() > deadline:
                await self.stop()
                said = f"{self._last_words()}; its log: {self._log}"
                raise StartFailed(f"{service.name} is not ready after {service.patience:g} s: {said}")
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

    def bound_log(self) -> None:
        """Copied and emptied: the service goes on writing to the file that it has open. Raises OSError."""
        with contextlib.suppress(FileNotFoundError):
            if self._log.stat().st_size > self.service.log_limit // 2:
                shutil.copyfile(self._log, self._log.with_suffix(".log.1"))
                os.truncate(self._log, 0)

    def _last_words(self) -> str:
        """Of this start; the log may have been emptied since."""
        with contextlib.suppress(OSError), self._log.open("rb") as log:
            size = log.seek(0, os.SEEK_END)
            begins = self._log_begins if self._log_begins <= size else 0
            log.seek(max(begins, size - _READ))
            return last_words(log.read().decode(errors="replace"))
        return "it said nothing"


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
