"""DBOS on PostgreSQL, in a database of its own, each measurement by a process in an environment of its own.

Its fastest way here: asynchronous workflows, started by their caller, in one process. Synchronous ones in threads were
no faster, two processes were slower in two of three turns on two busy cores, and a queue, which writes once more a run,
had half as many runs/s.
"""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit
from uuid import uuid4

import psycopg

from benchmarks.workflows_installing import HOME, Unavailable, python_with_packages
from benchmarks.workflows_sagas import Measured, steps_of

_SCRIPT: Final = HOME / "dbos_sagas.py"
_WARM_UP: Final = 40
_THREADS: Final = (4, 8, 16)
"""All of its writes are made by threads; its default, as many as there are writes, is slower than any of these."""
_STORED: Final = """
    SELECT (SELECT count(*) FROM dbos.workflow_status WHERE starts_with(workflow_uuid, %(prefix)s)
                                                        AND status = 'SUCCESS'),
           (SELECT count(*) FROM dbos.operation_outputs WHERE starts_with(workflow_uuid, %(prefix)s))
"""


class Dbos:
    """When it is not its turn, it takes neither CPU nor connections."""

    name = "DBOS"

    def __init__(self, python: Path, database_url: str) -> None:
        self._python = python
        self._url = database_url
        self._threads = _THREADS[0]

    async def choose(self, runs: int) -> None:
        """As many threads as are best on this machine, tried twice each in turn."""
        best = dict.fromkeys(_THREADS, 0.0)
        for self._threads in _THREADS * 2:
            measured = await self.start(runs, 100)
            best[self._threads] = max(best[self._threads], measured.runs_per_second)
        self._threads = max(best, key=lambda threads: best[threads])
        tried = ", ".join(f"{threads}: {rate:.0f} runs/s" for threads, rate in best.items())
        print(f"DBOS runs with {self._threads} threads (tried {tried})")

    async def start(self, runs: int, in_flight: int) -> Measured:
        prefix = uuid4().hex
        result = await self._run(runs=runs, inFlight=in_flight, prefix=prefix)
        await asyncio.to_thread(self._verify, prefix, runs)
        return Measured(**result)

    async def _run(self, **parameters: Any) -> dict[str, Any]:
        given = {"url": self._url, "threads": self._threads, "warmUp": _WARM_UP, **parameters}
        process = await asyncio.create_subprocess_exec(
            self._python,
            _SCRIPT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": str(HOME.parent.parent)},
        )
        out, err = await process.communicate(json.dumps(given).encode())
        if process.returncode:
            reason = err.decode(errors="replace").strip().rpartition("\n")[2]
            raise RuntimeError(f"DBOS: {reason or 'no reason given'}")
        return json.loads(out)

    def _verify(self, prefix: str, runs: int) -> None:
        """What it says it ran is in its tables, counted over another connection."""
        with psycopg.connect(self._url) as connection:
            stored = connection.execute(_STORED, {"prefix": prefix}).fetchone()
        if stored != (runs, steps_of(runs)):
            raise RuntimeError(f"DBOS: {runs} runs of {steps_of(runs)} steps, but PostgreSQL has {stored}")


def dbos_on(database_url: str) -> Dbos | None:
    """Installed and with a database, or None after it has said why not."""
    try:
        python = python_with_packages()
    except Unavailable as reason:
        print(f"DBOS is left out: {reason}")
        return None
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute("CREATE DATABASE dbos")
    return Dbos(python, urlsplit(database_url)._replace(path="/dbos").geturl())
