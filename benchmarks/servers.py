"""Fresh servers for one benchmark, durable on both sides, and gone afterwards."""

from __future__ import annotations

import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from tests.eventstore.servers import Servers
from tests.postgres import running_postgres


class Running(NamedTuple):
    nats_url: str
    """`sync_interval: always`"""
    database_url: str
    """fsync and synchronous_commit on, the defaults"""


@contextmanager
def fresh_servers() -> Generator[Running]:
    servers = Servers(1)
    try:
        servers.start()
        with tempfile.TemporaryDirectory() as home, running_postgres(Path(home)) as postgres:
            yield Running(servers.url, postgres.url)
    finally:
        servers.stop()
