"""(b) Commands over HTTP beside an empty handler; (d) from accepted to visible in the read model, under load."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import tempfile
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import httpx

from benchmarks.comparison import Contender, at_least, compare, show
from benchmarks.load_generator import Load, post_commands
from sagacity.embedded.directory import free_port
from tests.up import running_platform

CONNECTIONS = 64


async def run(rounds: int, seconds: float) -> None:
    with tempfile.TemporaryDirectory() as home, running_platform(Path(home)) as up, _empty() as empty_url:
        loads: list[Load] = []

        async def commands() -> float:
            loads.append(await post_commands(up.url, CONNECTIONS, seconds))
            return loads[-1].rate

        async def empty() -> float:
            return (await post_commands(empty_url, CONNECTIONS, seconds)).rate

        name, limit = "POST /api/v1/commands, durable", "empty Litestar POST handler"
        medians = await compare(
            f"(b) commands over HTTP, {CONNECTIONS} connections",
            "requests/s",
            [Contender(name, commands, at_least(0.4, limit, name)), Contender(limit, empty)],
            rounds,
        )
        _latency("(b) latency of a command", loads[1:], goal=100)
        print(f"failures: {sum(load.failures for load in loads)}")
        visible = [await _visibility(up.url, medians[name] / 2, seconds) for _ in range(rounds)]
        _latency(f"(d) accepted → visible, at {medians[name] / 2:,.0f} commands/s", visible, goal=100)


async def _visibility(url: str, rate: float, seconds: float) -> Load:
    """A command now and then beside the load, and how long until a query that waits for it answers."""
    load = asyncio.create_task(post_commands(url, CONNECTIONS, seconds, rate=rate))
    seen = Load()
    began = time.perf_counter()
    async with httpx.AsyncClient(base_url=url, timeout=30) as client:
        while not load.done():
            body = {"type": "organization.register", "data": {"name": "seen"}}
            accepted = (await client.post("/api/v1/commands", json=body)).json()
            start = time.perf_counter()
            where = accepted["_links"]["resource"]
            found = await client.get(where, params={"min_position": accepted["position"], "wait": 20})
            seen.latencies.append(time.perf_counter() - start)
            seen.failures += found.status_code != 200
    await load
    seen.elapsed = time.perf_counter() - began
    return seen


def _latency(title: str, loads: list[Load], goal: float) -> None:
    rows: list[Contender] = []
    for label, share in (("p50", 0.5), ("p99", 0.99)):
        row = Contender(label, lambda: asyncio.sleep(0, 0.0))
        row.rounds = [load.percentile(share) * 1000 for load in loads]
        if label == "p99":
            row.goal = lambda medians: (f"< {goal:g} ms", medians["p99"] < goal)
        rows.append(row)
    show(title, "ms", rows, {row.name: row.median for row in rows})


@contextmanager
def _empty() -> Generator[str]:
    port = free_port()
    process = subprocess.Popen([sys.executable, "-m", "benchmarks.empty_app", str(port)])
    try:
        url = f"http://127.0.0.1:{port}"
        for _ in range(200):
            try:
                httpx.post(f"{url}/api/v1/commands")
                break
            except httpx.TransportError:
                time.sleep(0.05)
        yield url
    finally:
        process.terminate()
        process.wait()
