"""Restate as it ships (its log is synced to disk before a step is answered), with a service in JavaScript.

The server and the service are there all the time, as they are for anybody who uses it: without runs they take about
three percent of a core. Who submits the runs is a process of its own for each measurement.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import subprocess
from asyncio.subprocess import Process
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Final

import httpx

from benchmarks.workflows_installing import HOME, Unavailable, node_with_packages
from benchmarks.workflows_sagas import Measured, steps_of
from sagacity.embedded.directory import free_port

_PROGRAM: Final = "node_modules/@restatedev/restate-server-*/bin/restate-server"
_WARM_UP: Final = 100
_RUNS: Final = "SELECT count(*) AS n FROM sys_invocation WHERE target_service_name = 'saga' AND status = 'completed'"
_STEPS: Final = "SELECT count(*) AS n FROM sys_journal WHERE entry_type = 'Notification: Run'"


class Restate:
    name = "Restate"

    def __init__(self, node: Path, ingress: str, admin: httpx.AsyncClient) -> None:
        self._node = node
        self._ingress = ingress
        self._admin = admin
        self._runs = 0
        self._steps = 0

    async def start(self, runs: int, in_flight: int) -> Measured:
        given = {"url": self._ingress, "runs": runs, "inFlight": in_flight, "warmUp": _WARM_UP}
        process = await asyncio.create_subprocess_exec(
            *(self._node, HOME / "restate_load.mjs", json.dumps(given)),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        out, err = await process.communicate()
        if process.returncode:
            raise RuntimeError(f"Restate: {err.decode(errors='replace').strip() or 'no reason given'}")
        await self._verify(runs)
        return Measured(**json.loads(out))

    async def _verify(self, runs: int) -> None:
        """What it says it ran is in its store, which it is asked for over another connection."""
        self._runs += _WARM_UP + runs
        self._steps += steps_of(_WARM_UP) + steps_of(runs)
        stored = await self._count(_RUNS), await self._count(_STEPS)
        if stored != (self._runs, self._steps):
            raise RuntimeError(f"Restate: {self._runs} runs of {self._steps} steps in all, but it has {stored}")

    async def _count(self, query: str) -> int:
        answer = await self._admin.post("/query", json={"query": query}, headers={"accept": "application/json"})
        return answer.raise_for_status().json()["rows"][0]["n"]


@asynccontextmanager
async def restate_in(home: Path) -> AsyncGenerator[Restate | None]:
    """Installed and running with its data in `home`, or None after it has said why not."""
    try:
        node = await asyncio.to_thread(node_with_packages)
        server = _server()
    except Unavailable as reason:
        print(f"Restate is left out: {reason}")
        yield None
        return
    async with AsyncExitStack() as stack:
        ingress, admin, fabric = free_port(), free_port(), free_port()
        running = _running(node, "restate_service.mjs", environment={"RESTATE_LOGGING": "ERROR"}, out=subprocess.PIPE)
        service = await stack.enter_async_context(running)
        assert service.stdout is not None
        uri = f"http://127.0.0.1:{int(await service.stdout.readline())}"
        settings = {"INGRESS__BIND_PORT": ingress, "ADMIN__BIND_PORT": admin, "BIND_PORT": fabric}
        options = ("--base-dir", str(home), "--bind-ip", "127.0.0.1", "--listen-mode", "tcp", "--node-name", "bench")
        environment = {f"RESTATE_{name}": str(value) for name, value in settings.items()}
        await stack.enter_async_context(_running(server, *options, environment={"DO_NOT_TRACK": "1", **environment}))
        client = httpx.AsyncClient(base_url=f"http://127.0.0.1:{admin}", timeout=60)
        await _register(await stack.enter_async_context(client), uri)
        yield Restate(node, f"http://127.0.0.1:{ingress}", client)


def _server() -> Path:
    """The program. Raises Unavailable."""
    found = sorted(HOME.glob(_PROGRAM))
    if not found:
        raise Unavailable("its packages have no server for this kind of machine")
    return found[0]


async def _register(admin: httpx.AsyncClient, service: str) -> None:
    """Raises TimeoutError when the server does not take the service within a minute."""
    async with asyncio.timeout(60):
        while True:
            try:
                (await admin.post("/deployments", json={"uri": service})).raise_for_status()
                return
            except httpx.HTTPError:
                await asyncio.sleep(0.2)


@asynccontextmanager
async def _running(
    program: Path, *arguments: str, environment: dict[str, str], out: int = subprocess.DEVNULL
) -> AsyncGenerator[Process]:
    process = await asyncio.create_subprocess_exec(
        *(program, *arguments),
        cwd=HOME,
        stdout=out,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "NODE_ENV": "production", **environment},
    )
    try:
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
        await process.wait()
