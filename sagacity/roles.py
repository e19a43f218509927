"""The roles of the platform, any set of them in one process: api, projector, saga and worker."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path

from sagas.rollout import RetryPolicy

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class RoleSettings:
    """Where a process of roles finds the servers, and where it listens."""

    roles: frozenset[str]
    nats_url: str
    database_url: str
    process_host: Path
    host: str
    port: int
    retries: RetryPolicy
