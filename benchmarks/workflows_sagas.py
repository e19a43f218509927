"""What every contender runs: sagas of three steps, each durable before the next; every tenth is compensated.

The third step of every tenth run fails; then the second and the first are undone. A step returns a small object and
does nothing else. Only the standard library is imported here: a peer in an environment of its own uses this too.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import NamedTuple, Protocol

STEPS = 3
COMPLETED, COMPENSATED = "completed", "compensated"


def ends(run: int) -> str:
    """How run number `run`, from 1, has to end."""
    return COMPENSATED if run % 10 == 0 else COMPLETED


def steps_of(runs: int) -> int:
    """Steps of runs 1 to `runs`: tried ones, the failing ones among them, and compensations."""
    return STEPS * runs + (STEPS - 1) * (runs // 10)


def step(run: int, number: int) -> dict[str, int | str]:
    """Raises ValueError when it is to fail."""
    if number == STEPS and ends(run) == COMPENSATED:
        raise ValueError(f"step {number} of run {run} fails")
    return {"run": run, "step": number, "state": "done"}


def undo(run: int, number: int) -> dict[str, int | str]:
    return {"run": run, "step": number, "state": "undone"}


class Measured(NamedTuple):
    seconds: float
    """From the first submission to the last end."""
    latencies: list[float]
    """Seconds of every run, from before it is submitted until its caller knows how it ended."""

    @property
    def runs_per_second(self) -> float:
        return len(self.latencies) / self.seconds

    @property
    def steps_per_second(self) -> float:
        return steps_of(len(self.latencies)) / self.seconds

    def percentile(self, share: float) -> float:
        """Seconds within which this share of the runs was over."""
        return sorted(self.latencies)[min(int(len(self.latencies) * share), len(self.latencies) - 1)]


class Sagas(Protocol):
    """A contender. What is durable when a run ends: its start, what came of each of its steps, its end."""

    @property
    def name(self) -> str: ...

    async def start(self, runs: int, in_flight: int) -> Measured:
        """Runs 1 to `runs`, at most `in_flight` of them begun and not over; warm before the first is timed.

        Raises RuntimeError when one ended otherwise than it has to, or is not stored.
        """
        ...


async def drive(runs: int, in_flight: int, once: Callable[[int], Awaitable[str]]) -> Measured:
    """`in_flight` callers, each of which waits for the end of its run before it submits another.

    `once` gives how the run ended. Raises RuntimeError when that is wrong.
    """
    numbers = iter(range(1, runs + 1))
    latencies: list[float] = []

    async def caller() -> None:
        for number in numbers:
            began = time.perf_counter()
            end = await once(number)
            latencies.append(time.perf_counter() - began)
            if end != ends(number):
                raise RuntimeError(f"run {number} is {end}, not {ends(number)}")

    began = time.perf_counter()
    await asyncio.gather(*(caller() for _ in range(min(in_flight, runs))))
    return Measured(time.perf_counter() - began, latencies)
