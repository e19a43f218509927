"""The whole platform as a user starts it: `sagacity up` in a process of its own."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sagacity.embedded.directory import DataDirectory, free_port
from sagacity.embedded.nats_server import nats_service


class Up:
    def __init__(self, home: Path, *flags: str) -> None:
        self.home = home
        self.process = subprocess.Popen(
            [sys.executable, "-m", "sagacity", "up", "--data", str(home), "--port", "0", *flags],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.url = ""

    def wait(self, timeout: float = 60.0) -> Up:
        """Until it is ready. Raises AssertionError with what it said."""
        deadline = time.monotonic() + timeout
        ready = [self.home / "run" / name for name in ("url", "roles.ready")]  # the second is written anew after it
        while not all(file.exists() for file in ready):
            assert self.process.poll() is None, self.process.communicate()
            assert time.monotonic() < deadline, "not ready in time"
            time.sleep(0.05)
        self.url = (self.home / "run" / "url").read_text()
        return self

    def pid(self, service: str) -> int:
        return int((self.home / "run" / f"{service}.pid").read_text().split()[0])

    def stop(self) -> int:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        self.process.communicate(timeout=60)
        return self.process.returncode


@contextmanager
def running_platform(home: Path, *flags: str) -> Iterator[Up]:
    up = Up(home, *flags)
    try:
        yield up.wait()
    finally:
        up.stop()


@contextmanager
def its_nats_server(home: Path) -> Iterator[str]:
    """Of it alone: the URL, with the password that the log is written with."""
    directory = DataDirectory(home)
    directory.run.mkdir()
    service, url = nats_service(directory, free_port(), None)
    server = subprocess.Popen(service.command, stderr=subprocess.DEVNULL)
    try:
        assert asyncio.run(service.ready())
        yield url
    finally:
        server.terminate()
        server.wait()
