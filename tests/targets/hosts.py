"""Real process hosts for tests: started as programs, killed as programs."""

import asyncio
import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import aiohttp

from sagas.targets.port import Release
from sagas.targets.process import ProcessTarget
from sagas.targets.process.wire import socket_of

SERVICE = str(Path(__file__).with_name("service.py"))
DYING_HOST = str(Path(__file__).with_name("dying_host.py"))


def service(name: str, *options: str, **environment: str) -> Release:
    return Release(sys.executable, (SERVICE, name, *options), environment)


class Host:
    """One data directory and the host that runs in it, if one does. Limits are short, in seconds."""

    def __init__(self, data: Path) -> None:
        self.data = data
        self.target = ProcessTarget(data)
        self.output = data.with_name(f"{data.name[:50]}.out")
        self.process: subprocess.Popen[bytes] | None = None

    def begin(self, *program: str, **environment: str) -> "Host":
        """Without waiting; `program` stands in for the host's own."""
        command = program or ("-m", "sagas.targets.process.host")
        self.data.parent.mkdir(parents=True, exist_ok=True)
        with self.output.open("ab") as output:
            self.process = subprocess.Popen(
                [sys.executable, *command, "--data", str(self.data), "--drain", "2", "--grace", "2"],
                env={**os.environ, **environment},
                stderr=output,
            )
        return self

    def start(self, *program: str, **environment: str) -> "Host":
        self.begin(*program, **environment)
        deadline = time.monotonic() + 15
        while time.monotonic() < deadline:
            with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX) as probe:
                probe.connect(str(socket_of(self.data)))
                return self
            if self.process is not None and self.process.poll() is not None:
                break
            time.sleep(0.02)
        raise AssertionError(self.output.read_text())

    def kill(self) -> None:
        assert self.process is not None
        self.process.kill()
        self.process.wait(10)

    def stop(self) -> int:
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(15)

    def close(self) -> None:
        """Whatever a test left, nothing stays."""
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
            self.process.wait(10)
        for pid in self.processes():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def processes(self) -> list[int]:
        """All processes of releases of this host, whoever their parent is."""
        mark = f"SAGAS_PROCESS_HOST={self.data}".encode()
        found = []
        for process in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                if mark in (process / "environ").read_bytes().split(b"\0"):
                    found.append(int(process.name))
        return found


async def until(condition: Callable[[], Awaitable[bool]], timeout: float = 10.0) -> None:
    """Wait for a condition, at most `timeout` seconds."""
    async with asyncio.timeout(timeout):
        while not await condition():
            await asyncio.sleep(0.02)


async def deploy(host: Host, name: str, *options: str, front: str | None = "front", **environment: str) -> str:
    """Run a service as a release; answers the URL of its front, or its own."""
    await host.target.allocate(f"{name}-allocate")
    url = await host.target.start(f"{name}-start", f"{name}-allocate", service(name, *options, **environment))
    return await host.target.switch(f"{name}-switch", front, {f"{name}-start": 1}) if front else url


@contextlib.asynccontextmanager
async def browser(**arguments) -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=20), **arguments) as session:
        yield session


class Load:
    """Keep-alive clients that ask without pause; `failed` holds every answer that was not a good one."""

    def __init__(self, url: str, clients: int = 6) -> None:
        self.failed: list[str] = []
        self.answers: dict[str, int] = {}
        self._url = url
        self._clients = clients
        self._tasks: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> "Load":
        self._tasks = [asyncio.create_task(self._ask(number)) for number in range(self._clients)]
        return self

    async def __aexit__(self, *_: object) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _ask(self, number: int) -> None:
        connector = aiohttp.TCPConnector(limit=1, keepalive_timeout=60)
        async with browser(connector=connector) as session:
            while True:
                method = "POST" if number % 2 else "GET"
                try:
                    async with session.request(method, self._url, data=b"x" * 3000 if number % 2 else None) as answer:
                        await answer.read()
                        if answer.status != 200:
                            self.failed.append(f"{method} {answer.status}")
                        name = answer.headers.get("X-Release", "?")
                        self.answers[name] = self.answers.get(name, 0) + 1
                except aiohttp.ClientError as error:
                    self.failed.append(f"{method} {error!r}")
                await asyncio.sleep(0.002)
