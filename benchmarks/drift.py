"""(g) Drift: how often detectors alarm while nothing changes, how soon when something does, and what comes of it.

Streams on a fresh seed, beside detectors of river as they come, usual rules and dummies. Ours are the product's own
classes. A delay is counted from the change to the first alarm after it. A rule that alarms all the time has a short
one: it is to be read beside the false alarms.
"""

from __future__ import annotations

import math
import os
import time
from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np
from numpy.random import Generator
from rich.console import Console
from rich.table import Table

from benchmarks.drift_months import OURS as OUR_MONTHS
from benchmarks.drift_months import Month, month
from benchmarks.drift_policies import NEVER, POLICIES
from benchmarks.drift_policies import OURS as OUR_POLICY
from benchmarks.drift_retraining import Tally
from benchmarks.drift_rules import ERRORS, KSWIN, NUMBERS, OURS, PER_10_000, Rule
from benchmarks.drift_streams import BEFORE, CHANGE, ROWS, Scenario
from benchmarks.drift_streams import ERRORS as ERROR_SCENARIOS
from benchmarks.drift_streams import NUMBERS as NUMBER_SCENARIOS
from benchmarks.drift_worlds import QUIET, WORLDS


class Runs(NamedTuple):
    """How many streams our detectors, the others and the slowest of them see; months; courses of each policy."""

    ours: int
    others: int
    slowest: int
    months: int
    shifted: int
    courses: int


class Found(NamedTuple):
    """Alarms in 10,000 rows and the part of streams with any; delays of the streams in which it was found."""

    quiet: bool
    alarms: float
    alarming: float
    delays: tuple[float, ...]
    streams: int

    @property
    def median(self) -> float:
        """Not found is infinitely late."""
        missed = [math.inf] * (self.streams - len(self.delays))
        return float(np.median([*self.delays, *missed]))

    @property
    def mean(self) -> float:
        return float(np.mean(self.delays)) if self.delays else math.nan

    @property
    def detected(self) -> float:
        return 100 * len(self.delays) / self.streams

    def __str__(self) -> str:
        if self.quiet:
            return f"{self.alarms:.2f}\n({100 * self.alarming:.0f} %)" if self.alarms < 100 else f"{self.alarms:,.0f}"
        median = f"{self.median:,.0f}" if math.isfinite(self.median) else "-"
        return f"{median}\n{self.mean:,.0f}, {self.detected:.0f} %" if self.delays else "never"


class Gate(NamedTuple):
    what: str
    limit: str
    figure: str
    met: bool


Streams = dict[str, dict[str, Found]]
"""By rule and scenario."""


def _found(rule: Rule, scenario: Scenario, streams: Sequence[np.ndarray[tuple[int], np.dtype[np.float64]]]) -> Found:
    alarms = [rule(stream[:BEFORE], stream[BEFORE:]) for stream in streams]
    after = ([row - CHANGE for row in found if row > CHANGE] for found in alarms)
    delays = () if scenario.quiet else tuple(float(found[0]) for found in after if found)
    total = sum(map(len, alarms)) / len(streams) * 10_000 / ROWS
    return Found(scenario.quiet, total, float(np.mean(list(map(bool, alarms)))), delays, len(streams))


def streams(rules: dict[str, Rule], scenarios: Sequence[Scenario], rng: Generator, runs: Runs) -> Streams:
    """All rules see the same streams, the slow ones the first of them."""
    known: Streams = {name: {} for name in rules}
    for scenario in scenarios:
        drawn = [scenario.draw(rng) for _ in range(runs.ours)]
        for name, rule in rules.items():
            count = {OURS: runs.ours, KSWIN: runs.slowest}.get(name, runs.others)
            known[name][scenario.name] = _found(rule, scenario, drawn[:count])
    return known


def courses(rng: Generator, runs: int) -> dict[str, dict[str, list[Tally]]]:
    """By policy and world; all policies see the same worlds."""
    known: dict[str, dict[str, list[Tally]]] = {name: {world: [] for world in WORLDS} for name in POLICIES}
    for world, draw in WORLDS.items():
        for of_world in rng.spawn(runs):
            drawn = draw(of_world)
            for (name, policy), sabotage in zip(POLICIES.items(), of_world.spawn(len(POLICIES)), strict=True):
                known[name][world].append(policy(drawn, sabotage))
    return known


def _stream_gates(errors: dict[str, Found], numbers: dict[str, Found]) -> list[Gate]:
    doubled, half, wider = errors["10 % to 20 %"], numbers["mean + .5 s"], numbers["s x 1.5"]
    return [
        _rare("errors, quiet", errors["quiet, 10 %"]),
        _soon("errors, 10 % to 20 %", doubled, 312),
        _all("errors, 10 % to 20 %", doubled),
        _rare("number, quiet, normal", numbers["quiet, normal"]),
        _rare("number, quiet, autoregressive", numbers["quiet, autoregressive"]),
        _soon("number, mean + .5 s", half, 120),
        _soon("number, s x 1.5", wider, 90),
        _all("number, mean + .5 s", half),
        _all("number, s x 1.5", wider),
    ]


def _rare(what: str, found: Found) -> Gate:
    limit, figure = f"<= {PER_10_000} in 10,000", f"{found.alarms:.3f}"
    return Gate(f"{what}: false alarms", limit, figure, found.alarms <= PER_10_000)


def _soon(what: str, found: Found, limit: int) -> Gate:
    figure = f"{found.median:,.0f} (mean {found.mean:,.0f})"
    return Gate(f"{what}: median delay", f"<= {limit}", figure, found.median <= limit)


def _all(what: str, found: Found) -> Gate:
    return Gate(f"{what}: found", "100 %", f"{found.detected:.1f} %", len(found.delays) == found.streams)


def _month_gates(quiet: Sequence[Month], shifted: Sequence[Month]) -> list[Gate]:
    alarming = 100 * float(np.mean([each.alarms[OUR_MONTHS] > 0 for each in quiet]))
    found = 100 * float(np.mean([each.of_shifted > 0 for each in shifted]))
    return [
        Gate("20 features, 30 quiet days: months with an alarm", "<= 5 %", f"{alarming:.1f} %", alarming <= 5),
        Gate("1 of 20 moved by .3 s: found", ">= 90 %", f"{found:.1f} %", found >= 90),
    ]


def course_gates(known: dict[str, dict[str, list[Tally]]]) -> list[Gate]:
    ours, never = known[OUR_POLICY], known[NEVER]
    harmful = sum(tally.harmful for tallies in ours.values() for tally in tallies)
    trainings = sum(tally.trainings for tally in ours[QUIET])
    no_worse = [
        Gate(f"{world}: error", f"<= {_error(never[world]):.4f} (never)", f"{_error(tallies):.4f}", met)
        for world, tallies in ours.items()
        for met in [_error(tallies) <= _error(never[world])]
    ]
    return [
        Gate("sabotaged retrainings: harmful promotions", "0", str(harmful), harmful == 0),
        *no_worse,
        *_each_no_worse(ours, never),
        Gate("quiet world: trainings", "0", str(trainings), trainings == 0),
    ]


def _each_no_worse(ours: dict[str, list[Tally]], never: dict[str, list[Tally]]) -> list[Gate]:
    """A stream in which it errs more would not be seen in the mean of them."""
    gates: list[Gate] = []
    for world, tallies in ours.items():
        worse = sum(mine.wrong > other.wrong for mine, other in zip(tallies, never[world], strict=True))
        gates.append(Gate(f"{world}: streams with more errors than never", "0", str(worse), worse == 0))
    return gates


def _error(tallies: Sequence[Tally]) -> float:
    return sum(tally.wrong for tally in tallies) / sum(tally.rows for tally in tallies)


def _show_streams(console: Console, title: str, known: Streams) -> None:
    table = Table(title=title, title_justify="left", show_lines=True)
    table.add_column("quiet: alarms in 10,000 (streams);\nelse median delay, mean, found")
    for column in next(iter(known.values())):
        table.add_column(column, justify="right")
    for name, found in known.items():
        table.add_row(name, *map(str, found.values()))
    console.print(table)


def _show_months(console: Console, quiet: Sequence[Month], shifted: Sequence[Month]) -> None:
    title = "20 features, 30 days of 500 rows: months with an alarm, alarms in a month (days, but for row by row)"
    table = Table("rule", "quiet", "1 of 20 moved by .3 s after 15 days", title=title, title_justify="left")
    for rule in quiet[0].alarms:
        table.add_row(rule, *(_months(rule, months) for months in (quiet, shifted)))
    console.print(table)


def _months(rule: str, months: Sequence[Month]) -> str:
    counts = [each.alarms[rule] for each in months]
    return f"{100 * np.mean([count > 0 for count in counts]):.1f} %, {np.mean(counts):.2f}"


def _show_courses(console: Console, known: dict[str, dict[str, list[Tally]]]) -> None:
    title = "a fifth of the trainings sabotaged: error / trainings / promotions / harmful ones / rolled back, in a run"
    table = Table("what follows from drift", *WORLDS, title=title, title_justify="left")
    for name, by_world in known.items():
        table.add_row(name, *(_course(tallies) for tallies in by_world.values()))
    console.print(table)


def _course(tallies: Sequence[Tally]) -> str:
    counted = [(each.trainings, each.promotions, each.harmful, each.rolled_back) for each in tallies]
    return " / ".join([f"{_error(tallies):.4f}", *(f"{mean:g}" for mean in np.mean(counted, axis=0).round(2))])


async def run(runs: Runs, seed: int | None) -> bool:
    """Whether all gates are met."""
    seed = int.from_bytes(os.urandom(4)) if seed is None else seed
    began = time.perf_counter()
    console = Console(width=170)
    console.print(f"seed {seed}; {runs}; budget of streams: {PER_10_000} false alarms in 10,000 rows")
    of_errors, of_numbers, of_months, of_shifted, of_courses = np.random.default_rng(seed).spawn(5)
    errors = streams(ERRORS, ERROR_SCENARIOS, of_errors, runs)
    _show_streams(console, "errors of a model; the holdout has 1,000 rows", errors)
    numbers = streams(NUMBERS, NUMBER_SCENARIOS, of_numbers, runs)
    _show_streams(console, "a numeric feature; the reference has 1,000 rows", numbers)
    quiet = [month(of_months, 0.0) for _ in range(runs.months)]
    shifted = [month(of_shifted, 0.3) for _ in range(runs.shifted)]
    _show_months(console, quiet, shifted)
    followed = courses(of_courses, runs.courses)
    _show_courses(console, followed)
    table = Table("gate", "limit", "measured", "", title=f"seed {seed}", title_justify="left")
    gates = [*_stream_gates(errors[OURS], numbers[OURS]), *_month_gates(quiet, shifted), *course_gates(followed)]
    for gate in gates:
        table.add_row(gate.what, gate.limit, gate.figure, "met" if gate.met else "NOT met")
    console.print(table)
    console.print(f"{time.perf_counter() - began:,.0f} s")
    return all(gate.met for gate in gates)


FULL_RUN: Final = Runs(200, 60, 2, 160, 20, 5)
QUICK_RUN: Final = Runs(30, 10, 1, 12, 6, 1)
