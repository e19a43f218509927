"""Where the host keeps what, and how long it waits for what."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Layout:
    """The files of one data directory; `data` is absolute."""

    data: Path

    @property
    def state(self) -> Path:
        return self.data / "state.json"

    @property
    def lock(self) -> Path:
        return self.data / "lock"

    @property
    def logs(self) -> Path:
        return self.data / "logs"

    @property
    def processes(self) -> Path:
        return self.data / "processes"

    def work(self, start_key: str) -> Path:
        """The working directory of a release that asks for no other."""
        return self.data / "work" / start_key


@dataclass(frozen=True)
class Limits:
    """All in seconds."""

    first: float = 3.0
    """A release that exits this soon has failed to start; one that does not listen by then is watched on."""

    listen: float = 20.0
    """How long a release that is to come back may take until it listens."""

    drain: float = 10.0
    """How long requests in flight may go on when their release is retired."""

    grace: float = 10.0
    """Between SIGTERM and SIGKILL."""
