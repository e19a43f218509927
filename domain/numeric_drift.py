"""Whether a numeric column has changed, row by row: two ADWINs (Bifet and Gavaldà 2007) on whitened scores.

ADWIN takes rows for independent and bounded. Values become normal scores (outliers are bounded), then the part that
the row before explains is taken away: e_t = (z_t - r z_{t-1}) / sqrt(1 - r²), with the correlation r of neighbours in
the reference. After g - 1 missing rows it is r to the power of g. One ADWIN watches e, the other one e² / 2: halved
because an ADWIN that is given larger figures alarms more often.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from math import log
from typing import Final, NamedTuple

import numpy as np
from river.drift import ADWIN

from domain.drift import Thresholds, Verdict
from domain.evidence import Floats
from domain.normal_scores import NormalScores
from domain.rounding import rounded

CLOCK: Final = 32
"""ADWIN looks at each row of this number."""
_GAPS: Final = 64
"""Rows further apart are independent."""
_LEAST: Final = 5
"""Rows on either side of a cut, as ADWIN has it by default."""
_NEAR: Final = 256
_LOOKS: Final = 64


class Cut(NamedTuple):
    """Where ADWIN's window fell apart: rows and means before and after, and how far apart these may be."""

    before: int
    after: int
    mean_before: float
    mean_after: float
    bound: float


class Whitening:
    """Remembers the last row that is there."""

    def __init__(self, rho: float) -> None:
        powers = [1.0]
        for _ in range(_GAPS):
            powers.append(powers[-1] * rho)
        powers.append(0.0)
        self._powers = np.array(powers)
        self._scales = np.sqrt(1 - self._powers * self._powers)
        self._last = 0.0
        self._gap = _GAPS + 1
        """Of the next row to the last one that is there."""

    def of(self, scores: Floats) -> tuple[list[int], Floats]:
        """The positions of the rows that are there, and their whitened scores."""
        there = np.flatnonzero(~np.isnan(scores))
        if not len(there):
            self._gap = min(self._gap + len(scores), _GAPS + 1)
            return [], np.zeros(0)
        known = scores[there]
        gaps = np.minimum(np.diff(there, prepend=-self._gap), _GAPS + 1)
        before = np.concatenate(([self._last], known[:-1]))
        whitened = (known - self._powers[gaps] * before) / self._scales[gaps]
        self._last = float(known[-1])
        self._gap = len(scores) - int(there[-1])
        return there.tolist(), whitened


class Watch:
    """One ADWIN; after an alarm it begins again.

    ADWIN tells that its window has fallen apart, but not where. The last rows, and sums up to each of the last 64
    looks, to every other one of the last 128, and so on, give the place where both parts differ most, measured by
    ADWIN's own bound.
    """

    def __init__(self, delta: float) -> None:
        self._adwin = ADWIN(delta, CLOCK)
        self._delta = delta
        self._begin()

    def _begin(self) -> None:
        self._rows = 0
        self._total = 0.0
        self._squares = 0.0
        self._recent: deque[float] = deque(maxlen=_NEAR)
        self._sums: list[deque[tuple[int, float]]] = []

    def see(self, figures: Sequence[float]) -> list[tuple[int, Cut]]:
        """Where it alarmed among these rows, counted from 0."""
        cuts: list[tuple[int, Cut]] = []
        first = 0
        while first < len(figures):
            last = min(len(figures), first + CLOCK - self._rows % CLOCK)
            self._add(figures[first:last])
            if self._rows % CLOCK == 0:
                if self._adwin.drift_detected:
                    cuts.append((last - 1, self._cut()))
                    self._begin()
                else:
                    self._remember()
            first = last
        return cuts

    def _add(self, figures: Sequence[float]) -> None:
        """Up to the next look. In a loop of its own, one figure after the other: a restart reads every row again, and
        sums are the same to the last bit however rows are cut into calls."""
        total, squares, update = self._total, self._squares, self._adwin.update
        for figure in figures:
            total += figure
            squares += figure * figure
            update(figure)
        self._rows += len(figures)
        self._total, self._squares = total, squares
        self._recent.extend(figures)

    def _remember(self) -> None:
        """List number k has the sum at every look whose number is a multiple of 2 to the power of k."""
        look = self._rows // CLOCK
        for sums in self._sums:
            sums.append((self._rows, self._total))
            if look & 1:
                return
            look >>= 1
        self._sums.append(deque([(self._rows, self._total)], _LOOKS))

    def _cut(self) -> Cut:
        before, totals = self._candidates()
        after = self._rows - before
        mean_before, mean_after = totals / before, (self._total - totals) / after
        variance = max(self._squares / self._rows - (self._total / self._rows) ** 2, 0.0)
        doubt = log(2 * log(self._rows) / self._delta)
        spread = 1 / (before - _LEAST + 1) + 1 / (after - _LEAST + 1)
        bound = np.sqrt(2 * spread * variance * doubt) + 2 / 3 * spread * doubt
        at = int(np.argmax(np.abs(mean_after - mean_before) / bound))
        return Cut(int(before[at]), int(after[at]), float(mean_before[at]), float(mean_after[at]), float(bound[at]))

    def _candidates(self) -> tuple[Floats, Floats]:
        """Rows before a possible cut, and their sum."""
        recent = self._total - np.cumsum(np.array(self._recent)[::-1])
        near = zip(range(self._rows - 1, -1, -1), recent.tolist(), strict=False)
        before, totals = np.array(sorted({*near, *(each for sums in self._sums for each in sums)})).T
        there = (before >= _LEAST) & (before <= self._rows - _LEAST)
        return before[there], totals[there]


class NumericDetector:
    """Of one column, named `feature`, whose neighbours correlate by `rho` in the reference."""

    def __init__(self, feature: str, rho: float, scores: NormalScores, thresholds: Thresholds) -> None:
        self._feature = feature
        self._rho = rho
        self._scores = scores
        self._whitening = Whitening(rho)
        self._value = Watch(thresholds.adwin_delta)
        self._square = Watch(thresholds.adwin_delta)
        self._seen = 0

    def see(self, values: Floats) -> list[Verdict]:
        """The next rows, nan where one is missing."""
        rows, whitened = self._whitening.of(self._scores.of(values))
        of_value = self._value.see(whitened.tolist())
        of_square = self._square.see((whitened * whitened / 2).tolist())
        found = [self._verdict(self._seen + rows[at] + 1, cut, 0.0) for at, cut in of_value]
        found += [self._verdict(self._seen + rows[at] + 1, cut, 1.0) for at, cut in of_square]
        self._seen += len(values)
        return sorted(found, key=lambda verdict: verdict.at)

    def _verdict(self, at: int, cut: Cut, squared: float) -> Verdict:
        details = {
            "squared": squared,
            "mean_before": rounded(cut.mean_before),
            "mean_after": rounded(cut.mean_after),
            "rows_before": float(cut.before),
            "width": float(cut.after),
            "rho": self._rho,
        }
        difference = rounded(abs(cut.mean_after - cut.mean_before))
        return Verdict("feature", self._feature, "adwin-whitened", at, difference, rounded(cut.bound), details)
