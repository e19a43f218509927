"""(h) Quality: is everything that is missing or wrong found, and nothing else; is only asked what has to be asked.

Complete rows of data sets that ship with scikit-learn lose fields by masks and take faults on a fresh seed. What there
is to be found is reckoned from that, by the formula in fractions (tests/domain/quality_formula.py), without the check.
Then messages go from end to end (benchmarks/quality_pipeline.py).
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Final, NamedTuple

import numpy as np
from numpy.random import Generator
from rich.console import Console
from rich.table import Table

from benchmarks import quality_pipeline
from benchmarks.quality_contenders import CONTENDERS, OURS, check_of
from benchmarks.quality_faults import MASKS, Message, Sending, medians_of
from benchmarks.quality_rows import NAMES, SENT_ON, rows_of
from benchmarks.quality_speed import LIMIT, Speed, speeds
from benchmarks.quality_tally import Counts, Tally
from domain.record import Reading


class Runs(NamedTuple):
    """Messages of each data set and mask; batches of checks that are timed; messages from end to end, and rounds of
    them."""

    messages: int
    batches: int
    whole: int
    rounds: int


def messages_of(runs: Runs, rng: Generator) -> dict[str, list[Message]]:
    """By mask, of all data sets."""
    known: dict[str, list[Message]] = {mask: [] for mask in MASKS}
    for name, of_name in zip(NAMES, rng.spawn(len(NAMES)), strict=True):
        data = rows_of(name, of_name)
        medians = medians_of(data.schema, data.rows)
        for mask, of_mask in MASKS.items():
            sending = Sending(data.schema, medians, of_mask, of_name)
            drawn: list[int] = of_name.integers(len(data.rows), size=runs.messages).tolist()
            known[mask] += [sending.send(data.rows[at]) for at in drawn]
    return known


def tallies(messages: dict[str, list[Message]]) -> dict[str, dict[str, Tally]]:
    """By contender and mask."""
    known = {name: {mask: Tally() for mask in messages} for name in CONTENDERS}
    for name, contender in CONTENDERS.items():
        for mask, sent in messages.items():
            for message in sent:
                known[name][mask].add(contender(message), message)
    return known


class Chased(NamedTuple):
    """Of messages whose gaps are answered as the complete row has it, until there are none: questions, fields that
    were asked for, those among them that the row does not have, those asked for twice, what was still missing."""

    questions: int
    asked: int
    not_applicable: int
    twice: int
    left: int


def chased(message: Message) -> Chased:
    """Nobody refuses here."""
    readings, asked, questions = dict(message.readings), list[str](), 0
    while True:
        found = check_of(message.schema).assess(readings, (), SENT_ON, message.flags, False, None)
        if not found.root_gaps:
            break
        questions += 1
        asked += found.root_gaps
        readings |= {path: Reading(message.row.get(path), "answer") for path in found.root_gaps}
    beside = sum(path not in message.row for path in asked)
    return Chased(questions, len(asked), beside, len(asked) - len(set(asked)), len(found.missing) + len(found.invalid))


class Gate(NamedTuple):
    what: str
    limit: str
    figure: str
    met: bool


def _gates(ours: Iterable[Tally], chases: Sequence[Chased], timed: dict[str, Speed]) -> list[Gate]:
    all_ours = list(ours)
    missing, lost = _worst([each.missing for each in all_ours]), _worst([each.lost for each in all_ours])
    flags, asked = _worst([each.flags for each in all_ours]), _worst([each.asked for each in all_ours])
    off = max(tally.off or 0.0 for tally in all_ours)
    beside = sum(tally.not_applicable for tally in all_ours) + sum(each.not_applicable for each in chases)
    twice, left = sum(each.twice for each in chases), sum(each.left for each in chases)
    slowest = max(speed.median for name, speed in timed.items() if name.startswith(OURS))
    return [
        Gate("missing fields: precision and recall", "1", f"{missing:.4f}", missing == 1),
        Gate("the same beside the mask, where it is known what applies", "1", f"{lost:.4f}", lost == 1),
        Gate("typed faults: precision and recall", ">= .99", f"{flags:.4f}", flags >= 0.99),
        Gate("score, completeness, validity: greatest error", "0", f"{off:.1e}", off < 1e-12),
        Gate("what is asked for are the root gaps: precision and recall", "1", f"{asked:.4f}", asked == 1),
        Gate("fields asked for that do not apply", "0", str(beside), beside == 0),
        Gate(
            "fields asked for twice, or missing when nothing is asked any more",
            "0",
            f"{twice}, {left}",
            not twice + left,
        ),
        Gate("a check of 12 fields: median", f"<= {LIMIT} us", f"{slowest:.1f} us", slowest <= LIMIT),
    ]


def _worst(counts: Sequence[Counts]) -> float:
    return min(min(each.precision, each.recall) for each in counts)


_COLUMNS: Final[dict[str, Callable[[Tally], str]]] = {
    "missing": lambda tally: str(tally.missing),
    "beside the mask": lambda tally: str(tally.lost),
    "open": lambda tally: f"{tally.open / tally.messages:.2f}",
    "typed faults": lambda tally: str(tally.flags),
    "error of shares": lambda tally: "-" if tally.off is None else f"{tally.off:.1e}",
    "root gaps": lambda tally: str(tally.asked),
    "gaps": lambda tally: f"{tally.gaps / tally.messages:.2f}",
    "asked for": lambda tally: f"{tally.asked.said / tally.messages:.2f}",
    "not applicable": lambda tally: f"{tally.not_applicable / tally.messages:.2f}",
}


def _show_tallies(console: Console, known: dict[str, dict[str, Tally]]) -> None:
    title = (
        "precision / recall; in a message: missing fields of which it is open whether they apply, gaps, fields "
        "asked for and those among them that do not apply"
    )
    table = Table("", "mask", *_COLUMNS, title=title, title_justify="left")
    for name, by_mask in known.items():
        for mask, tally in by_mask.items():
            table.add_row(name, mask, *(cell(tally) for cell in _COLUMNS.values()))
    console.print(table)


def _show_chases(console: Console, chases: Sequence[Chased]) -> None:
    questions = np.bincount([each.questions for each in chases]) / len(chases)
    shares = ", ".join(f"{100 * share:.1f} % {number}" for number, share in enumerate(questions))
    asked = sum(each.asked for each in chases) / len(chases)
    console.print(f"answered to the end: questions needed: {shares}; {asked:.2f} fields asked for in a message")


def _show_speeds(console: Console, timed: dict[str, Speed]) -> None:
    table = Table("one check of 12 fields, us", "median", "5 to 95 % of batches", "best", title_justify="left")
    for name, speed in timed.items():
        table.add_row(name, f"{speed.median:.1f}", f"{speed.low:.1f} to {speed.high:.1f}", f"{speed.best:.1f}")
    console.print(table)


async def run(runs: Runs, seed: int | None) -> None:
    seed = int.from_bytes(os.urandom(4)) if seed is None else seed
    began = time.perf_counter()
    console = Console(width=170)
    console.print(f"seed {seed}; {runs}; data sets: {', '.join(NAMES)}")
    messages = messages_of(runs, np.random.default_rng(seed))
    known = tallies(messages)
    _show_tallies(console, known)
    chases = [chased(message) for sent in messages.values() for message in sent]
    _show_chases(console, chases)
    timed = speeds(runs.batches)
    _show_speeds(console, timed)
    table = Table("gate", "limit", "measured", "", title=f"seed {seed}", title_justify="left")
    for gate in _gates(known[OURS].values(), chases, timed):
        table.add_row(gate.what, gate.limit, gate.figure, "met" if gate.met else "NOT met")
    console.print(table)
    await quality_pipeline.run(console, runs.whole, runs.rounds, seed)
    console.print(f"{time.perf_counter() - began:,.0f} s")


FULL_RUN: Final = Runs(2_000, 1_000, 3_000, 5)
QUICK_RUN: Final = Runs(200, 200, 500, 2)
