"""(i) Durable sagas beside DBOS and Restate, and beside what the log alone can do; from 1 to 10,000 runs in flight.

Three steps, one run in ten compensated (benchmarks/workflows_sagas.py). Contenders take turns; all are durable: what
ends is on disk. Up to as many runs as there may be in flight are submitted at once.
"""

from __future__ import annotations

import asyncio
import os
import statistics
import tempfile
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import NamedTuple

from rich.console import Console
from rich.table import Table

from benchmarks.servers import fresh_servers
from benchmarks.workflows_dbos import dbos_on
from benchmarks.workflows_engine import engine_on
from benchmarks.workflows_limits import limits_on
from benchmarks.workflows_restate import restate_in
from benchmarks.workflows_sagas import Measured, Sagas

_WARM_UP = 50
"""Runs of each contender before the first round of a level, over and above those with which its processes begin."""
_TRIED = 200
"""Runs of DBOS with each setting it is tried with."""


class Level(NamedTuple):
    in_flight: int
    runs: int
    rounds: int


QUICK_RUN = (Level(1, 60, 2), Level(10, 200, 2), Level(100, 300, 2), Level(1_000, 1_000, 2))
FULL_RUN = (
    Level(1, 150, 5),
    Level(10, 400, 5),
    Level(100, 800, 5),
    Level(1_000, 1_000, 5),
    Level(10_000, 10_000, 2),
)

Results = dict[str, list[Measured]]
"""By contender, a measurement a round."""


async def run(levels: Sequence[Level]) -> None:
    async with _contenders() as contenders:
        results: dict[int, Results] = {}
        for level in levels:
            before = os.getloadavg()[0]
            results[level.in_flight] = found = await take_turns(contenders, level)
            runs = f"{level.runs:,} runs, at most {level.in_flight:,} in flight"
            load = f"load of the machine {before:.1f} before and {os.getloadavg()[0]:.1f} after"
            _show(f"(i) sagas: {runs}; {os.cpu_count()} cores, {load}", found)
        _show_growth(results)


@asynccontextmanager
async def _contenders() -> AsyncGenerator[list[Sagas]]:
    """Ours goes first; a peer that cannot run here is left out."""
    async with AsyncExitStack() as stack:
        servers = stack.enter_context(fresh_servers())
        home = stack.enter_context(tempfile.TemporaryDirectory())
        dbos = await asyncio.to_thread(dbos_on, servers.database_url)
        if dbos:
            await dbos.choose(_TRIED)
        ours = await stack.enter_async_context(engine_on(servers.nats_url))
        peers = (dbos, await stack.enter_async_context(restate_in(Path(home))))
        limits = await stack.enter_async_context(limits_on(servers.nats_url))
        yield [ours, *(peer for peer in peers if peer), *limits]


async def take_turns(contenders: Sequence[Sagas], level: Level) -> Results:
    """A, B, A, B …"""
    for contender in contenders:
        await contender.start(_WARM_UP, min(level.in_flight, _WARM_UP))
    found: Results = {contender.name: [] for contender in contenders}
    for _ in range(level.rounds):
        for contender in contenders:
            found[contender.name].append(await contender.start(level.runs, level.in_flight))
    return found


def _show(title: str, results: Results) -> None:
    table = Table(title=title, title_justify="left")
    for column in ("", "runs/s", "steps/s", "start to finish, p50 ms", "p99 ms"):
        table.add_column(column, justify="left" if column == "" else "right")
    for name, rounds in results.items():
        table.add_row(
            name,
            _median_of(rounds, lambda each: each.runs_per_second),
            _median_of(rounds, lambda each: each.steps_per_second),
            _median_of(rounds, lambda each: each.percentile(0.5) * 1000),
            _median_of(rounds, lambda each: each.percentile(0.99) * 1000),
        )
    Console(width=120).print(table)


def _show_growth(results: dict[int, Results]) -> None:
    """Medians alone, side by side."""
    table = Table(title="sagas: runs/s (p99 ms), as more are in flight", title_justify="left")
    table.add_column("")
    for in_flight in results:
        table.add_column(f"{in_flight:,}", justify="right")
    for name in next(iter(results.values())):
        rates = [_median(level[name], lambda each: each.runs_per_second) for level in results.values()]
        slowest = [_median(level[name], lambda each: each.percentile(0.99) * 1000) for level in results.values()]
        table.add_row(name, *(f"{rate:,.0f} ({late:,.0f})" for rate, late in zip(rates, slowest, strict=True)))
    Console(width=120).print(table)


def _median(rounds: Sequence[Measured], figure: Callable[[Measured], float]) -> float:
    return statistics.median(map(figure, rounds))


def _median_of(rounds: Sequence[Measured], figure: Callable[[Measured], float]) -> str:
    """With the lowest and the highest."""
    known = [figure(each) for each in rounds]
    digits = 1 if statistics.median(known) < 100 else 0
    return f"{statistics.median(known):,.{digits}f} ({min(known):,.{digits}f}-{max(known):,.{digits}f})"
