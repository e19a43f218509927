"""What a process of roles is told when it is started. Light: whoever starts one need not import what it runs."""

from __future__ import annotations

import msgspec


class ProviderAccess(msgspec.Struct, frozen=True):
    """A language model behind an OpenAI-compatible API, and what may be spent on it. Prices are of a million tokens;
    the key is in the environment, under the name of `key_variable`."""

    url: str
    model: str
    key_variable: str
    input_price: float
    output_price: float
    currency: str
    per_day: float
    per_record: float


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
    provider: ProviderAccess | None = None
    """What reads the fields of records that rules do not find."""
    ready_file: str = ""
    log_home: str = ""
    """Where the log is kept, if on this machine."""
    data: str = ""
    """The data directory: passwords are in it, so that no skill reads there."""
    skill_paths: tuple[str, ...] = ()
    """What the skills that come along may read."""

    @property
    def local_host(self) -> str:
        return "127.0.0.1" if self.host in ("0.0.0.0", "::") else self.host
