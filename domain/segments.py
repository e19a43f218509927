"""Counts of two arms, interval by interval, kept as sums: everything that the evidence of one metric is made from."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np
from msgspec import Struct
from numpy.typing import ArrayLike

from domain.evidence import Floats, log_e_below, log_e_harmless, log_e_worse, log_mean
from domain.measurement import Latency

_COMPARED: Final = 0.9
"""The weight of "less than `harm_ratio` times the baseline"; the rest is for "less than `negligible`"."""
_CALM: Final = 10
"""Intervals without a difference that count as seen before the first one, when the dispersion is estimated."""
_INTERVALS: Final = 10
_ANSWERS: Final = 50


class Segment(Struct, frozen=True):
    """Sums over all intervals in which the canary was to get `expected_share` of both arms' requests.

    `intervals`, `canary_squares`, `products` and `squares` are of the intervals with bad events: their number, and
    the sums of k^2, kn and n^2 where k of n bad events fell on the canary.
    """

    expected_share: float
    canary_requests: int = 0
    canary_bad: int = 0
    baseline_requests: int = 0
    baseline_bad: int = 0
    intervals: int = 0
    canary_squares: int = 0
    products: int = 0
    squares: int = 0


class Tally(NamedTuple):
    """Counts of one segment, as numbers or arrays."""

    canary_requests: ArrayLike
    canary_bad: ArrayLike
    baseline_requests: ArrayLike
    baseline_bad: ArrayLike


def grown(
    segments: Sequence[Segment], share: float, canary: tuple[int, int], baseline: tuple[int, int]
) -> tuple[Segment, ...]:
    """With one more interval, (all, bad) of each arm; the segment that it belongs to comes last."""
    requests, k = canary
    if not requests + baseline[0]:
        return tuple(segments)
    before = next((segment for segment in segments if segment.expected_share == share), Segment(share))
    n = k + baseline[1]
    after = Segment(
        share,
        before.canary_requests + requests,
        before.canary_bad + k,
        before.baseline_requests + baseline[0],
        before.baseline_bad + baseline[1],
        before.intervals + (n > 0),
        before.canary_squares + k * k,
        before.products + k * n,
        before.squares + n * n,
    )
    return (*(segment for segment in segments if segment is not before), after)


class Total(NamedTuple):
    """Counts of all segments."""

    canary_requests: int
    canary_bad: int
    baseline_requests: int
    baseline_bad: int


def total(segments: Sequence[Segment]) -> Total:
    return Total(
        sum(each.canary_requests for each in segments),
        sum(each.canary_bad for each in segments),
        sum(each.baseline_requests for each in segments),
        sum(each.baseline_bad for each in segments),
    )


def tally(segment: Segment) -> Tally:
    return Tally(segment.canary_requests, segment.canary_bad, segment.baseline_requests, segment.baseline_bad)


def dispersion(segments: Sequence[Segment]) -> float:
    """The variance of the canary's part of the bad events from interval to interval, over that of single events.

    Slow answers come in clusters (a pause of the machine delays many of one arm at once), and a cluster is hardly
    more evidence than one event. The variance is taken around a part between the fitted one and that of equal arms,
    as if ten intervals without a difference had been seen before: around the fitted one alone, the first cluster
    would explain itself; around that of equal arms (the self-normalised test of de la Peña 1999), a real difference
    would count as noise for long. At least 1.
    """
    found = expected = 0.0
    for segment in segments:
        n = segment.canary_bad + segment.baseline_bad
        share = segment.canary_requests / (segment.canary_requests + segment.baseline_requests)
        if n and 0 < share < 1:
            part = (segment.intervals * segment.canary_bad / n + _CALM * share) / (segment.intervals + _CALM)
            found += segment.canary_squares - 2 * part * segment.products + part * part * segment.squares
            expected += n * part * (1 - part)
    return max(1.0, found / expected) if expected else 1.0


def weigh(tallies: Sequence[Tally], dispersed: float, harm_ratio: float, negligible: float) -> tuple[Floats, Floats]:
    """ln of the e-values against "not worse" and against "harmful", of one metric with a tally by segment.

    Harmful is both at least `harm_ratio` times the baseline's rate and at least `negligible`: the mean of an e-value
    against the one and of one against the other is one against both.
    """
    worse = compared = np.zeros(())
    requests = bad = np.zeros(())
    for each in tallies:
        canary_requests, canary_bad, baseline_requests, baseline_bad = (np.asarray(count, np.float64) for count in each)
        total = canary_requests + baseline_requests
        share = canary_requests / np.where(total > 0, total, 1.0)
        k, n = canary_bad / dispersed, (canary_bad + baseline_bad) / dispersed
        worse = worse + log_e_worse(k, n, share)
        compared = compared + log_e_harmless(k, n, share, harm_ratio)
        requests, bad = requests + canary_requests, bad + canary_bad
    below = log_e_below(bad / dispersed, np.maximum(requests, bad) / dispersed, negligible)
    return worse, log_mean((compared, below), (_COMPARED, 1 - _COMPARED))


def latest(histograms: Sequence[Latency], newest: Latency) -> tuple[Latency, ...]:
    """The last ten intervals that had answers; more, if they had fewer than fifty answers together."""
    kept = [*histograms, newest] if newest else list(histograms)
    while len(kept) > _INTERVALS and sum(sum(each.values()) for each in kept[1:]) >= _ANSWERS:
        kept = kept[1:]
    return tuple(kept)


def bucket_with(quantile: float, histograms: Sequence[Latency]) -> int | None:
    """The bucket that holds the quantile of all answers; None: there are too few to tell."""
    merged: Counter[int] = Counter()
    for histogram in histograms:
        merged.update(histogram)
    answers = merged.total()
    if answers < _ANSWERS:
        return None
    below = 0
    for bucket in sorted(merged):
        below += merged[bucket]
        if below >= quantile * answers:
            return bucket
    return None


def slower(latency: Latency, bucket: int) -> tuple[int, int]:
    """All answers, and those beyond the bucket."""
    return sum(latency.values()), sum(answers for each, answers in latency.items() if each > bucket)
