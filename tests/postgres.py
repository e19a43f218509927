"""A real PostgreSQL for tests, started by the code that the product starts it with."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sagacity.embedded.directory import DataDirectory
from sagacity.embedded.postgres import postgres_service
from sagacity.embedded.service import Child


class Postgres:
    """One server that outlives the event loops of single tests: a thread of its own looks after the child."""

    def __init__(self, home: Path) -> None:
        self._directory = DataDirectory(home)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self.url = ""
        self._child: Child | None = None

    def start(self) -> None:
        if not self._thread.is_alive():
            self._thread.start()
        for part in (self._directory.run, self._directory.logs):
            part.mkdir(parents=True, exist_ok=True)
        service, self.url = postgres_service(self._directory, self._directory.remembered_port("postgres"))
        self._child = Child(service, self._directory.run, self._directory.logs)
        self._run(self._child.start())

    @property
    def pid(self) -> int:
        assert self._child is not None
        return self._child.pid

    @property
    def is_dead(self) -> bool:
        assert self._child is not None
        return self._child.has_ended

    def restart_after_kill(self) -> None:
        """Wait until the killed server is gone, then start it again."""
        assert self._child is not None
        self._run(self._child.wait())
        self._run(self._child.start())

    def stop(self) -> None:
        if self._child is not None:
            self._run(self._child.stop())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _run(self, work) -> object:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(60)


@contextmanager
def running_postgres(home: Path) -> Iterator[Postgres]:
    server = Postgres(home)
    try:
        server.start()
        yield server
    finally:
        server.stop()
