"""What a process of roles is told when it is started. Light: whoever starts one need not import what it runs."""

from __future__ import annotations

import msgspec


class RoleSettings(msgspec.Struct, frozen=True):
    """Where a process of roles finds the servers, and where it listens. Times are in seconds."""

    roles: tuple[str, ...]
    nats_url: str
    database_url: str
    process_host: str
    host: str
    port: int
    log_level: str = "INFO"
    retry_attempts: int = 6
    retry_first: float = 0.2
    retry_longest: float = 10.0
    prediction_days: float = 30.0
    prediction_bytes: int = 1024**3
    """Predictions are kept for so long, and at most so many bytes of them."""
    observed_days: float = 90.0
    """Observed rows are kept for so long."""
    ready_file: str = ""
    log_home: str = ""
    """Where the log is kept, if on this machine."""

    @property
    def local_host(self) -> str:
        return "127.0.0.1" if self.host in ("0.0.0.0", "::") else self.host
