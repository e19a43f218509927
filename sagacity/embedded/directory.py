"""The data directory: one instance at a time, and everything of that instance in one place."""

from __future__ import annotations

import errno
import fcntl
import os
import socket
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path


class CannotStart(Exception):
    """The data directory or the port cannot be used; the text says why and what to do."""


@dataclass(frozen=True)
class DataDirectory:
    path: Path

    @property
    def run(self) -> Path:
        """What describes the running instance: lock, pids, ports, URLs."""
        return self.path / "run"

    @property
    def logs(self) -> Path:
        return self.path / "logs"

    @property
    def process_host(self) -> Path:
        return self.path / "process-host"

    @contextmanager
    def taken(self) -> Generator[None]:
        """Hold the directory. Raises CannotStart when it is another instance's, or no place to write to."""
        try:
            for part in (self.run, self.logs):
                part.mkdir(parents=True, exist_ok=True)
            lock = (self.run / "lock").open("a+")
        except OSError as error:
            raise CannotStart(f"the data directory {self.path} cannot be used: {error.strerror}") from error
        with lock:
            self._lock(lock.fileno())
            self._check_space()
            lock.truncate(0)
            lock.write(str(os.getpid()))
            lock.flush()
            yield

    def _lock(self, file: int) -> None:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            holder = (self.run / "lock").read_text() or "unknown"
            raise CannotStart(
                f"another instance (process {holder}) already runs in {self.path}; stop it, or choose another --data"
            ) from error

    def _check_space(self) -> None:
        """Better a clear word now than a server that cannot write its first file."""
        probe = self.run / "probe"
        try:
            probe.write_bytes(b"\0" * 1_048_576)
        except OSError as error:
            raise CannotStart(f"the data directory {self.path} cannot be written to: {error.strerror}") from error
        finally:
            probe.unlink(missing_ok=True)

    def remembered_port(self, name: str) -> int:
        """The port this directory's server had last time if it is free, else a new one, remembered from now on."""
        file = self.run / f"{name}.port"
        try:
            port = int(file.read_text())
        except (OSError, ValueError):
            port = 0
        if not port or not _is_free(port):
            port = free_port()
            file.write_text(str(port))
        return port


def free_port() -> int:
    """A TCP port of the loopback interface that nobody listens on now."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


def address_fault(host: str, port: int) -> str | None:
    """Why nobody can listen there, and what to choose instead; None when one can (any port for 0)."""
    try:
        socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        with socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET):
            return None
    except (socket.gaierror, UnicodeError):
        return f"host {host} is not known here; choose another --host"
    except OSError as error:
        if error.errno == errno.EADDRNOTAVAIL:
            return f"host {host} is no address of this machine; choose another --host"
        taken = error.errno == errno.EADDRINUSE
        why = "is taken" if taken else f"cannot be listened on: {os.strerror(error.errno or 0)}"
        return f"port {port} of {host} {why}; choose another --port"


def _is_free(port: int) -> bool:
    try:
        with socket.create_server(("127.0.0.1", port)):
            return True
    except OSError:
        return False
