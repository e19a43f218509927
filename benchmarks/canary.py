"""(f) Judging canaries: how often a rule rolls a good one back, and how soon a bad one, beside the rules of peers.

Simulated rollouts on a fresh seed, 60 intervals each. Ours is the product's own code: `domain.segments.weigh` for
many rollouts at once, `domain.analysis.observe` and `decide` for the full policy, and a sample of rollouts through
both, which must agree. Whatever a rule decides first ends the rollout.
"""

from __future__ import annotations

import math
import os
import time
from typing import Final, NamedTuple

import numpy as np
from numpy.random import Generator
from rich.console import Console
from rich.table import Table

from benchmarks.canary_rules import PEERS, SLOW, Hits, Ints, Rule, Traffic, always, first, mann_whitney, never
from benchmarks.canary_traffic import (
    EQUAL,
    INTERVALS,
    LATENCY,
    LOW,
    MEDIAN,
    TENTH,
    Answers,
    Scenario,
    counted,
    some,
    steady,
)
from domain.analysis import Analysis, Evidence, decide, judge, observe
from domain.evidence import log_e_worse
from domain.segments import Tally, weigh

ERRORS_ONLY: Final = Analysis(latency_quantiles=())
LATENCY_ONLY: Final = Analysis(errors=False)
OURS: Final = "Sagacity, errors only"
FULL: Final = "Sagacity, default (errors and latency)"


class Runs(NamedTuple):
    """How many rollouts are simulated for the fast rules, for Kayenta, through the product call by call, by request."""

    fast: int
    kayenta: int
    called: int
    peeked: int


class Outcome(NamedTuple):
    """The interval after which each rollout was rolled back or promoted (the number of intervals: never)."""

    rolled_back: Ints
    promoted: Ints
    requests: int

    @property
    def alarms(self) -> float:
        return 100 * float(np.mean(self.rolled_back < INTERVALS))

    @property
    def promotions(self) -> float:
        return 100 * float(np.mean(self.promoted < INTERVALS))

    @property
    def exposed(self) -> float:
        """Mean canary requests at rollback."""
        return self._mean(self.rolled_back)

    def _mean(self, ends: Ints) -> float:
        reached = ends[ends < INTERVALS]
        return float(reached.mean() + 1) * self.requests if len(reached) else math.nan

    def __str__(self) -> str:
        rolled_back = f"{self.alarms:.1f} %" + (f" {self.exposed:,.0f}" if self.alarms else "")
        return rolled_back + (f"\n+{self.promotions:.1f} % {self._mean(self.promoted):,.0f}" if self.promotions else "")


class Gate(NamedTuple):
    what: str
    limit: str
    figure: str
    met: bool


def errors_only(traffic: Traffic) -> Outcome:
    """By the product's mathematics, at every interval of all rollouts at once."""
    intervals = np.arange(1, INTERVALS + 1)
    tally = Tally(
        intervals * traffic.canary_requests,
        traffic.canary_incidents.cumsum(axis=1),
        intervals * traffic.baseline_requests,
        traffic.baseline_incidents.cumsum(axis=1),
    )
    worse, harmless = weigh([tally], 1.0, ERRORS_ONLY.harm_ratio, ERRORS_ONLY.negligible)
    return _first_of(worse >= math.log(ERRORS_ONLY.budget), harmless >= math.log(ERRORS_ONLY.mistakes), traffic)


def _first_of(worse: Hits, harmless: Hits, traffic: Traffic) -> Outcome:
    rolled_back, promoted = first(worse), first(harmless)
    return Outcome(
        np.where(rolled_back <= promoted, rolled_back, INTERVALS),
        np.where(promoted < rolled_back, promoted, INTERVALS),
        traffic.canary_requests,
    )


def called(analysis: Analysis, traffic: Traffic, answers: Answers | None) -> Outcome:
    """Call by call, as the saga does it."""
    rolled_back = np.full(len(traffic.canary_errors), INTERVALS)
    promoted = rolled_back.copy()
    for run in range(len(rolled_back)):
        evidence = Evidence()
        share = traffic.canary_requests / (traffic.canary_requests + traffic.baseline_requests)
        for interval in range(INTERVALS):
            evidence = observe(evidence, analysis, share, *counted(traffic, answers, run, interval))
            decision = decide(evidence, analysis)
            if decision != "undecided":
                (rolled_back if decision == "roll_back" else promoted)[run] = interval
                break
    return Outcome(rolled_back, promoted, traffic.canary_requests)


def _compare(scenarios: tuple[Scenario, ...], rng: Generator, runs: Runs) -> dict[str, dict[str, Outcome]]:
    """Outcomes by rule and scenario; all rules see the same rollouts, the slow ones the first of them."""
    outcomes: dict[str, dict[str, Outcome]] = {name: {} for name in (OURS, FULL, *PEERS)}
    for scenario in scenarios:
        traffic = scenario.draw(rng, runs.fast)
        ours = errors_only(traffic)
        few = some(traffic, runs.called)
        _agree(ours, called(ERRORS_ONLY, some(few, 20), None))
        outcomes[OURS][scenario.name] = ours
        if traffic.canary_requests == traffic.baseline_requests == 100:
            outcomes[FULL][scenario.name] = called(Analysis(), few, LATENCY["same"](rng, runs.called))
        for name, rule in PEERS.items():
            seen = some(traffic, runs.kayenta) if name in SLOW else traffic
            outcomes[name][scenario.name] = _of_peer(rule, seen)
    return outcomes


def _of_peer(rule: Rule, traffic: Traffic) -> Outcome:
    rolled_back = rule(traffic)
    return Outcome(rolled_back, np.full(rolled_back.shape, INTERVALS), traffic.canary_requests)


def _agree(at_once: Outcome, by_call: Outcome) -> None:
    runs = len(by_call.rolled_back)
    same = np.array_equal(at_once.rolled_back[:runs], by_call.rolled_back)
    if not (same and np.array_equal(at_once.promoted[:runs], by_call.promoted)):
        raise SystemExit("the vectorised rule decides differently from domain.analysis")


def _latency(rng: Generator, runs: Runs) -> dict[str, dict[str, Outcome]]:
    """No errors at all; the fixed limit is a tenth over the usual 95th percentile, failureLimit 3."""
    outcomes: dict[str, dict[str, Outcome]] = {}
    limit = 1.1 * MEDIAN * math.exp(0.6 * 1.6449)
    quiet = steady(0.0, 0.0).draw(rng, runs.called)
    for name, draw in LATENCY.items():
        answers = draw(rng, runs.called)
        canary, baseline = np.quantile(answers.canary, 0.95, axis=2), np.quantile(answers.baseline, 0.95, axis=2)
        by_rule = {
            "Sagacity, latency only": called(LATENCY_ONLY, quiet, answers),
            FULL: called(Analysis(), quiet, answers),
            "fixed limit: p95 > 1.1 x usual, failureLimit 3": first((canary > limit).cumsum(axis=1) >= 4),
            "Kayenta on p95, every interval": mann_whitney(canary, baseline, 1),
            "Kayenta on p95, one look at the end": mann_whitney(canary, baseline, INTERVALS),
            "dummy: always alarms": always(quiet),
            "dummy: never alarms": never(quiet),
        }
        for rule, outcome in by_rule.items():
            known = (
                outcome if isinstance(outcome, Outcome) else Outcome(outcome, np.full(outcome.shape, INTERVALS), 100)
            )
            outcomes.setdefault(rule, {})[name] = known
    return outcomes


def peeked(rng: Generator, runs: int, requests: int = 12_000) -> float:
    """Percent of identical canaries that are rolled back if one looks after every request, each routed by a coin.

    Between two bad events the evidence is greatest where the canary's share is least: no other look need be computed.
    """
    alarms = 0
    so_far = np.arange(1, requests + 1)
    for _ in range(runs):
        routed, bad = rng.random(requests) < 0.5, rng.random(requests) < 0.01
        if bad.any():
            events = np.flatnonzero(bad)
            least = np.minimum.reduceat(routed.cumsum() / so_far, events)
            worse = log_e_worse((routed & bad).cumsum()[events], np.arange(1, len(events) + 1), least)
            alarms += bool((worse >= math.log(ERRORS_ONLY.budget)).any())
    return 100 * alarms / runs


def needed(rng: Generator, runs: int) -> tuple[float, float]:
    """Of 2 % beside 1 % at 20 requests an interval: percent undecided at the end, and what they need (median)."""
    (scenario,) = (each for each in LOW if each.name == "2 % beside 1 %")
    traffic = scenario.draw(rng, runs)
    needs: list[float] = []
    for run in range(runs):
        evidence = Evidence()
        for interval in range(INTERVALS):
            evidence = observe(evidence, ERRORS_ONLY, 0.5, *counted(traffic, None, run, interval))
            if decide(evidence, ERRORS_ONLY) != "undecided":
                break
        else:
            needs.append(judge(evidence, ERRORS_ONLY).needs or math.inf)
    return 100 * len(needs) / runs, float(np.median(needs))


def _gates(
    equal: dict[str, Outcome], tenth: dict[str, Outcome], by_request: float, low: tuple[float, float]
) -> list[Gate]:
    same, doubled, fivefold = equal["1 % beside 1 %"], equal["2 % beside 1 %"], equal["5 % beside 1 %"]
    alike = {"each interval": same.alarms, "each request": by_request, "10 % weight": tenth["1 % beside 1 %"].alarms}
    alike |= {
        "common spikes": equal["both 8 % for 10 intervals"].alarms,
        "rows of 5": equal["1 % beside 1 %, rows of 5"].alarms,
    }
    early = Outcome(same.promoted, np.where(same.promoted < INTERVALS - 1, same.promoted, INTERVALS), 100).promotions
    return [
        *(
            Gate(f"identical, rolled back: {when}", "<= 5 %", f"{figure:.2f} %", figure <= 5)
            for when, figure in alike.items()
        ),
        _at_least("doubled, rolled back", 95, doubled.alarms),
        _at_most("doubled, mean requests", 2_250, doubled.exposed),
        _at_least("fivefold, rolled back", 99.9, fivefold.alarms),
        _at_most("fivefold, mean requests", 400, fivefold.exposed),
        _at_most("10 % weight, doubled, mean requests", 1_300, tenth["2 % beside 1 %"].exposed),
        _at_most("10 % weight, fivefold, mean requests", 210, tenth["5 % beside 1 %"].exposed),
        _at_least("identical, promoted before 6,000", 80, early),
        Gate("doubled, promoted", "<= 5 %", f"{doubled.promotions:.2f} %", doubled.promotions <= 5),
        Gate(
            "low data: inconclusive, with a number",
            "a number",
            f"{low[0]:.0f} %, needs {low[1]:,.0f}",
            math.isfinite(low[1]),
        ),
    ]


def _at_least(what: str, limit: float, figure: float) -> Gate:
    return Gate(what, f">= {limit:g} %", f"{figure:.2f} %", figure >= limit)


def _at_most(what: str, limit: float, figure: float) -> Gate:
    return Gate(what, f"<= {limit:,}", f"{figure:,.0f}", figure <= limit)


def _show(console: Console, title: str, outcomes: dict[str, dict[str, Outcome]]) -> None:
    columns = list(next(iter(outcomes.values())))
    table = Table(title=title, title_justify="left", show_lines=True)
    table.add_column("rolled back %, mean requests; + promoted early", max_width=30)
    for column in columns:
        table.add_column(column, justify="right")
    for name, by_scenario in outcomes.items():
        table.add_row(name, *(str(by_scenario.get(column, "")) for column in columns))
    console.print(table)


async def run(runs: Runs, seed: int | None) -> bool:
    """Whether all gates are met."""
    seed = int.from_bytes(os.urandom(4)) if seed is None else seed
    began = time.perf_counter()
    console = Console(width=170)
    console.print(f"seed {seed}; {runs}")
    streams = np.random.default_rng(seed).spawn(6)
    equal, tenth, low = (_compare(each, rng, runs) for each, rng in zip((EQUAL, TENTH, LOW), streams[:3], strict=True))
    _show(console, "errors of the canary beside the baseline's; 100 + 100 requests an interval", equal)
    _show(
        console,
        "a canary of 10 %: 100 + 900 requests an interval",
        {name: each for name, each in tenth.items() if each},
    )
    _show(console, "20 + 20 requests an interval", {name: each for name, each in low.items() if each})
    _show(console, "latency, log-normal (s = .6)", _latency(streams[3], runs))
    gates = _gates(equal[OURS], tenth[OURS], peeked(streams[4], runs.peeked), needed(streams[5], runs.called))
    table = Table("gate (errors only)", "limit", "measured", "met", title=f"seed {seed}", title_justify="left")
    for gate in gates:
        table.add_row(gate.what, gate.limit, gate.figure, "yes" if gate.met else "no")
    console.print(table)
    console.print(f"{time.perf_counter() - began:,.0f} s")
    return all(gate.met for gate in gates)


FULL_RUN: Final = Runs(20_000, 400, 200, 20_000)
QUICK_RUN: Final = Runs(4_000, 50, 20, 4_000)
