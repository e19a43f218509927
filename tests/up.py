"""The whole platform as a user starts it: `sagacity up` in a process of its own."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


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
        while not (self.home / "run" / "url").exists():
            assert self.process.poll() is None, self.process.communicate()
            assert time.monotonic() < deadline, "not ready in time"
            time.sleep(0.05)
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
