"""Interleaved rounds, medians with their spread, and the goal beside the result. Nothing here is asserted."""

from __future__ import annotations

import statistics
import threading
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from rich.console import Console
from rich.table import Table

Measure = Callable[[], Awaitable[float]]


@dataclass
class Contender:
    """`measure` gives one round's figure: a rate (per second), or a time in milliseconds."""

    name: str
    measure: Measure
    goal: Callable[[dict[str, float]], tuple[str, bool]] | None = None
    rounds: list[float] = field(default_factory=list[float])

    @property
    def median(self) -> float:
        return statistics.median(self.rounds)


async def compare(title: str, unit: str, contenders: list[Contender], rounds: int) -> dict[str, float]:
    """A, B, A, B …; prints the table and returns the medians by name."""
    for contender in contenders:
        await contender.measure()  # warm-up
    for _ in range(rounds):
        for contender in contenders:
            contender.rounds.append(await contender.measure())
    medians = {contender.name: contender.median for contender in contenders}
    show(title, unit, contenders, medians)
    return medians


def show(title: str, unit: str, contenders: list[Contender], medians: dict[str, float]) -> None:
    table = Table(title=title, title_justify="left")
    for column in ("", f"median {unit}", "lowest", "highest", "goal", "met"):
        table.add_column(column, justify="left" if column in ("", "goal") else "right")
    for contender in contenders:
        goal, met = contender.goal(medians) if contender.goal else ("", None)
        table.add_row(
            contender.name,
            f"{contender.median:,.2f}" if contender.median < 100 else f"{contender.median:,.0f}",
            f"{min(contender.rounds):,.2f}" if contender.median < 100 else f"{min(contender.rounds):,.0f}",
            f"{max(contender.rounds):,.2f}" if contender.median < 100 else f"{max(contender.rounds):,.0f}",
            goal,
            "" if met is None else "yes" if met else "no",
        )
    Console(width=120).print(table)


def at_least(factor: float, of: str, mine: str) -> Callable[[dict[str, float]], tuple[str, bool]]:
    """A goal for rates: `mine` is at least `factor` times `of`."""

    def goal(medians: dict[str, float]) -> tuple[str, bool]:
        ratio = medians[mine] / medians[of]
        return f"≥ {factor:g} × {of}: {ratio:.2f} ×", ratio >= factor

    return goal


def all_of(
    *goals: Callable[[dict[str, float]], tuple[str, bool]],
) -> Callable[[dict[str, float]], tuple[str, bool]]:
    def goal(medians: dict[str, float]) -> tuple[str, bool]:
        results = [each(medians) for each in goals]
        return "; ".join(text for text, _ in results), all(met for _, met in results)

    return goal


def at_most(factor: float, of: str, mine: str) -> Callable[[dict[str, float]], tuple[str, bool]]:
    """A goal for times: `mine` is at most `factor` times `of`."""

    def goal(medians: dict[str, float]) -> tuple[str, bool]:
        ratio = medians[mine] / medians[of]
        return f"≤ {factor:g} × {of}: {ratio:.2f} ×", ratio <= factor

    return goal


def rate_of_threads(callers: int, seconds: float, writer: Callable[[], Callable[[], object]]) -> float:
    """Writes a second of synchronous clients, each a thread with a `writer` of its own."""
    counts = [0] * callers
    until = time.perf_counter() + seconds

    def write(caller: int) -> None:
        write_once = writer()
        while time.perf_counter() < until:
            write_once()
            counts[caller] += 1

    threads = [threading.Thread(target=write, args=(caller,)) for caller in range(callers)]
    began = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sum(counts) / (time.perf_counter() - began)
