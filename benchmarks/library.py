"""The `eventsourcing` library on PostgreSQL, as its documentation sets it up."""

from __future__ import annotations

import os
import threading
import time
from urllib.parse import urlsplit
from uuid import uuid4

from eventsourcing.persistence import InfrastructureFactory, StoredEvent
from eventsourcing.utils import Environment

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
        counts = [0] * callers
        until = time.perf_counter() + seconds
        threads = [threading.Thread(target=self._write, args=(counts, i, until)) for i in range(callers)]
        began = time.perf_counter()
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return sum(counts) / (time.perf_counter() - began)

    def _write(self, counts: list[int], caller: int, until: float) -> None:
        stream, version = uuid4(), 1
        while time.perf_counter() < until:
            self._recorder.insert_events([StoredEvent(stream, version, "thing:Happened", PAYLOAD)])
            version += 1
            counts[caller] += 1

    def close(self) -> None:
        self._factory.close()
