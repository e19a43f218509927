"""What is counted of a release in traffic: requests, failures, and how long answers took.

Latency is counted in buckets whose bounds grow by the eighth root of two (9 %), from 0.1 ms to 105 s: fine enough
to find a release that is a tenth slower, and mergeable by adding.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Annotated, Final, TypeVar

from msgspec import Meta, Struct

Whole = Annotated[int, Meta(ge=0, le=2**53)]
_SHORTEST: Final = 0.0001
_PER_OCTAVE: Final = 8
_LAST: Final = 160

_Key = TypeVar("_Key", int, str)

Latency = dict[int, int]
"""Answers by bucket number; empty buckets are left out."""


def bucket_of(seconds: float) -> int:
    """The number of the bucket for an answer that took so long."""
    if seconds <= _SHORTEST:
        return 0
    return min(_LAST, math.ceil(_PER_OCTAVE * math.log2(seconds / _SHORTEST)))


def upper_bound(bucket: int) -> float:
    """The longest time that the bucket holds, in seconds; the last one holds everything longer, too."""
    return _SHORTEST * 2 ** (bucket / _PER_OCTAVE)


def buckets_within(tolerance: float) -> int:
    """How many buckets an answer may move up while it takes at most `1 + tolerance` times as long; rounded down."""
    return math.floor(_PER_OCTAVE * math.log2(1 + tolerance) + 1e-9)


class Counts(Struct, frozen=True):
    """Of one arm. `errors` are answers from 500 on and requests that got none.

    `incidents` are errors counted once: failures that belong together (in a row, or of one user) are one incident.
    `patterns` says where the errors were, such as `500 GET /products`: at most 50 of them.
    """

    requests: int = 0
    errors: int = 0
    incidents: int = 0
    latency: Latency = {}
    patterns: dict[str, int] = {}


class Sample(Struct, frozen=True, forbid_unknown_fields=True):
    """Of one arm, counted by somebody else: `bad` of `total`."""

    total: Whole
    bad: Whole


class Reading(Struct, frozen=True):
    """Counts by arm (the start key of its release) since `epoch`; another epoch began at zero."""

    epoch: str
    arms: dict[str, Counts] = {}


def total(of: Iterable[Counts]) -> Counts:
    """Of several instances of one release."""
    requests = errors = incidents = 0
    latency: Counter[int] = Counter()
    patterns: Counter[str] = Counter()
    for counts in of:
        requests += counts.requests
        errors += counts.errors
        incidents += counts.incidents
        latency.update(counts.latency)
        patterns.update(counts.patterns)
    return Counts(requests, errors, incidents, dict(latency), dict(patterns))


def since(now: Counts, before: Counts) -> Counts:
    """What was counted after `before`, in the same epoch."""
    return Counts(
        now.requests - before.requests,
        now.errors - before.errors,
        now.incidents - before.incidents,
        _difference(now.latency, before.latency),
        _difference(now.patterns, before.patterns),
    )


def _difference(now: Mapping[_Key, int], before: Mapping[_Key, int]) -> dict[_Key, int]:
    grown = {key: count - before.get(key, 0) for key, count in now.items()}
    return {key: count for key, count in grown.items() if count}
