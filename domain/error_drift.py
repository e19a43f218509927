"""Whether a model errs more often than on its holdout: an e-detector (Shin, Ramdas and Rinaldo 2022).

For each alternative q, M grows by the likelihood ratio of each row, as if the change could have come at any row so far:
M_t = (M_{t-1} + 1) L_t. While rows are wrong with a chance of p0 or less, M is at most the number of rows on average,
so the mean over all alternatives reaches A at the earliest after A rows on average, whatever one looks at meanwhile.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import log, sqrt
from typing import Final

from domain.drift import Thresholds, Verdict
from domain.model import Holdout
from domain.rounding import rounded

RATIOS: Final = (1.25, 1.5, 2.0, 3.0, 5.0)
"""The alternatives: so many times as many errors."""
STANDARD_ERRORS: Final = 2.0
_MOST_RATE: Final = 0.99


def null_rate(holdout: Holdout) -> float:
    """The chance of an error that is no drift: the holdout's (with one right and one wrong row more, Laplace) and two
    standard errors, since a holdout of a few hundred rows may be luckier than the model is."""
    rows = holdout.rows + 2
    rate = (holdout.wrong + 1) / rows
    return min(rate + STANDARD_ERRORS * sqrt(rate * (1 - rate) / rows), _MOST_RATE)


class ErrorDetector:
    """After an alarm it begins again, with the same holdout.

    Evidence is kept as it is, not as its logarithm: it stays below ten times the alarm, and products and sums are
    the same to the last bit on every machine.
    """

    def __init__(self, holdout: Holdout, thresholds: Thresholds) -> None:
        self._holdout = holdout
        self._alarm = thresholds.errors_arl
        self._null = null_rate(holdout)
        worse = [_worse(self._null, ratio) for ratio in RATIOS]
        self._if_wrong = tuple(rate / self._null for rate in worse)
        self._if_right = tuple((1 - rate) / (1 - self._null) for rate in worse)
        self._at = 0
        self._begin()

    def _begin(self) -> None:
        self._evidence = [0.0] * len(RATIOS)
        self._rows = 0
        self._wrong = 0

    def see(self, wrong: Sequence[bool]) -> tuple[Verdict, ...]:
        """Rows in the order of their labels, one truth value each."""
        verdicts: list[Verdict] = []
        for each in wrong:
            self._at += 1
            self._rows += 1
            self._wrong += bool(each)
            ratios = self._if_wrong if each else self._if_right
            self._evidence = [(known + 1) * ratio for known, ratio in zip(self._evidence, ratios, strict=True)]
            if sum(self._evidence) >= self._alarm * len(RATIOS):
                verdicts.append(self._verdict())
                self._begin()
        return tuple(verdicts)

    def _verdict(self) -> Verdict:
        """Its details: the rows since the last alarm, and the alternative with the most evidence."""
        likeliest = max(range(len(RATIOS)), key=self._evidence.__getitem__)
        details = {
            "rows": float(self._rows),
            "wrong": float(self._wrong),
            "holdout_rows": float(self._holdout.rows),
            "holdout_wrong": float(self._holdout.wrong),
            "null_rate": rounded(self._null),
            "ratio": RATIOS[likeliest],
        }
        evidence = rounded(log(sum(self._evidence) / len(RATIOS)))
        return Verdict("errors", "", "e-detector", self._at, evidence, rounded(log(self._alarm)), details)


def _worse(rate: float, ratio: float) -> float:
    """Errors grow to `ratio` times as many, or right answers shrink to that part, whichever is less."""
    return min(rate * ratio, 1 - (1 - rate) / ratio)
