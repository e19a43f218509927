"""Which of two models is better, judged on rows whose label is known, as often as one likes.

Only rows count on which exactly one of them was right. If both are equally good, each of these is one or the other's
with a chance of 1/2: the conditional-binomial test of `domain.evidence` with a share of 1/2.
"""

from __future__ import annotations

from math import exp, log
from typing import Annotated, Final, Literal

from msgspec import Meta, Struct

from domain.evidence import log_e_worse

Odds = Annotated[float, Meta(gt=1, le=1e6)]
Labels = Annotated[int, Meta(ge=1, le=10_000_000)]
Decision = Literal["better", "worse", "undecided"]
_DECIMALS: Final = 6


class Pairs(Struct, frozen=True):
    """Rows by who was right: the one in use, the other one, both or neither."""

    both: int = 0
    active_only: int = 0
    other_only: int = 0
    neither: int = 0

    @property
    def rows(self) -> int:
        return self.both + self.active_only + self.other_only + self.neither

    def __add__(self, more: Pairs) -> Pairs:
        return Pairs(
            self.both + more.both,
            self.active_only + more.active_only,
            self.other_only + more.other_only,
            self.neither + more.neither,
        )


class Judgement(Struct, frozen=True):
    """Of the other model beside the one in use. The logarithms are natural ones of e-values."""

    decision: Decision
    log_e_better: float
    log_e_worse: float
    odds: float
    pairs: Pairs


def judge(pairs: Pairs, odds: float) -> Judgement:
    """`better` or `worse` as soon as its evidence is `odds` : 1, at any number of rows but none."""
    decided = pairs.active_only + pairs.other_only
    better = round(float(log_e_worse(pairs.other_only, decided, 0.5)), _DECIMALS)
    worse = round(float(log_e_worse(pairs.active_only, decided, 0.5)), _DECIMALS)
    needed = max(round(log(odds), _DECIMALS), 10**-_DECIMALS)
    decision: Decision = "better" if better >= needed else "worse" if worse >= needed else "undecided"
    return Judgement(decision, better, worse, odds, pairs)


def in_words(judgement: Judgement) -> str:
    """For people: `proven better: alone right on 30 of 400 rows, the one in use on 4; evidence 2.1e+04 to 1`."""
    pairs = judgement.pairs
    counted = f"alone right on {pairs.other_only} of {pairs.rows} rows, the one in use on {pairs.active_only}"
    match judgement.decision:
        case "better":
            return f"proven better: {counted}; evidence {_odds(judgement.log_e_better)}"
        case "worse":
            return f"proven worse: {counted}; evidence {_odds(judgement.log_e_worse)}"
        case "undecided":
            better, worse = _odds(judgement.log_e_better), _odds(judgement.log_e_worse)
            return f"undecided: {counted}; evidence {better} for better, {worse} for worse"


def _odds(log_e: float) -> str:
    return f"{exp(min(log_e, 30)):.3g} to 1"
