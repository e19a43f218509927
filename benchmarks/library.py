"""The `eventsourcing` library on PostgreSQL, as its documentation sets it up."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable
from urllib.parse import urlsplit
from uuid import uuid4

from eventsourcing.persistence import InfrastructureFactory, StoredEvent
from eventsourcing.utils import Environment

from benchmarks.comparison import rate_of_threads
from benchmarks.things import PAYLOAD


def environment(database_url: str, *, functions: bool) -> dict[str, str]:
    url = urlsplit(database_url)
    return {
        "PERSISTENCE_MODULE": "eventsourcing.postgres",
        "POSTGRES_DBNAME": url.path[1:],
        "POSTGRES_HOST": url.hostname or "",
        "POSTGRES_PORT": str(url.port),
        "POSTGRES_USER": url.username or "",
        "POSTGRES_PASSWORD": url.password or "",
        "POSTGRES_POOL_SIZE": "32",
        "POSTGRES_MAX_OVERFLOW": "0",
        "POSTGRES_ENABLE_DB_FUNCTIONS": "y" if functions else "n",
    }


class LibraryAppends:
    """Appends of one event by threads, as the library is synchronous."""

    def __init__(self, database_url: str, *, functions: bool) -> None:
        name = f"bench{'f' if functions else ''}{os.getpid()}"
        self._factory = InfrastructureFactory.construct(
            Environment(name, environment(database_url, functions=functions))
        )
        self._recorder = self._factory.application_recorder()

    def rate(self, callers: int, seconds: float) -> float:
        return rate_of_threads(callers, seconds, self._writer)

    def _writer(self) -> Callable[[], object]:
        stream, versions = uuid4(), itertools.count(1)
        return lambda: self._recorder.insert_events([StoredEvent(stream, next(versions), "thing:Happened", PAYLOAD)])

    def close(self) -> None:
        self._factory.close()
