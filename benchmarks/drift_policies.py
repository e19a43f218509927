"""What follows from drift: nothing, a training each thousand rows, one that is promoted at once, or the product's
shadow, gate and watch."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from numpy.random import Generator
from river.drift import ADWIN

from benchmarks.drift_retraining import BATCH, POLICY, Course, Right, Tally, Version
from benchmarks.drift_worlds import World
from domain.detectors import ErrorDetector, thresholds
from domain.gate import Pairs, judge
from domain.model import Kind

Policy = Callable[[World, Generator], Tally]
OURS: Final = "Sagacity: errors, shadow, gate, watch"
NEVER: Final = "never"
NO_HOLDOUT: Final = 0.05
"""The least there is, for those who do not look at it."""


def never(world: World, rng: Generator) -> Tally:
    course = Course(world, rng, NO_HOLDOUT)
    course.answered(course.first().right[world.known :])
    return course.tally


def each_thousand(world: World, rng: Generator) -> Tally:
    course = Course(world, rng, NO_HOLDOUT)
    version = course.first()
    for row in range(world.known, len(world.rows), 1_000):
        if row > world.known:
            version = course.promoted(row, course.retrained(row), version)
        course.answered(version.right[row : row + 1_000])
    return course.tally


def adwin_at_once(world: World, rng: Generator) -> Tally:
    """It waits for fresh rows as the product does."""
    course = Course(world, rng, NO_HOLDOUT)
    version, detector, due = course.first(), ADWIN(), len(world.rows)
    for row in range(world.known, len(world.rows)):
        right = version.right[row : row + 1]
        course.answered(right)
        detector.update(float(not right[0]))
        if row == due:
            version = course.promoted(row, course.retrained(row), version)
            detector, due = ADWIN(), len(world.rows)
        elif detector.drift_detected and due == len(world.rows):
            due = row + POLICY.training.fresh
    return course.tally


@dataclass
class _Comparison:
    kind: Kind
    other: Version
    pairs: Pairs = field(default_factory=Pairs)


class _Product:
    def __init__(self, course: Course) -> None:
        self._course = course
        self._use(course.first())
        self._due: int | None = None
        self._comparison: _Comparison | None = None

    def _use(self, version: Version) -> None:
        self._active = version
        self._errors = ErrorDetector(version.holdout, thresholds(POLICY.monitoring, 1, 0))

    def labelled(self, first: int, last: int) -> None:
        right = self._active.right[first:last]
        self._course.answered(right)
        drifted = bool(self._errors.see((~right).tolist()))
        if self._comparison:
            self._compare(self._comparison, right, first, last)
        elif self._due is None:
            self._due = last + POLICY.training.fresh if drifted else None
        elif last >= self._due:
            self._due = None
            version = self._course.retrained(last)
            self._comparison = None if version.useless else _Comparison("shadow", version)

    def _compare(self, compared: _Comparison, right: Right, first: int, last: int) -> None:
        compared.pairs += pairs_of(right, compared.other.right[first:last])
        match compared.kind:
            case "shadow":
                decision = judge(compared.pairs, POLICY.gate.odds).decision
                if decision == "better":
                    self._comparison = _Comparison("watch", self._active)
                    self._use(self._course.promoted(last, compared.other, self._active))
                elif decision == "worse" or compared.pairs.rows >= POLICY.gate.labels:
                    self._comparison = None
            case "watch":
                if judge(compared.pairs, POLICY.watch.odds).decision == "better":
                    self._comparison = None
                    self._course.tally.rolled_back += 1
                    self._use(compared.other)
                elif compared.pairs.rows >= POLICY.watch.labels:
                    self._comparison = None


def pairs_of(active: Right, other: Right) -> Pairs:
    counts = (active & other, active & ~other, ~active & other, ~active & ~other)
    return Pairs(*(int(each.sum()) for each in counts))


def product(world: World, rng: Generator) -> Tally:
    course = Course(world, rng, POLICY.training.holdout)
    model = _Product(course)
    for first in range(world.known, len(world.rows), BATCH):
        model.labelled(first, min(first + BATCH, len(world.rows)))
    return course.tally


POLICIES: Final[dict[str, Policy]] = {
    NEVER: never,
    "each 1,000 rows": each_thousand,
    "ADWIN on errors, promoted at once": adwin_at_once,
    OURS: product,
}
