"""Canaries driven to their end by the real decider, from what is counted between two looks, as the saga does it."""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

import msgspec

from domain import canary, deployment
from domain.canary import Judged, Look, ShiftTraffic
from domain.decider import Refusal
from domain.deployment import Completed, Requested, RollbackStarted, RolledBack, RolloutPolicy, StepCompleted
from domain.environment import LiveRelease, Target
from domain.measurement import Counts, total
from domain.stack import ReleaseSpec
from domain.strategy import Canary, CanaryStep

START = datetime(2026, 11, 1, tzinfo=UTC)
EVERY = timedelta(seconds=5)
RELEASE = ReleaseSpec("shop")
LIVE = LiveRelease("d0", "1.0", "local", release=RELEASE)
LONG = (CanaryStep(50, requests=100_000),)


class Interval(NamedTuple):
    """What both arms answered since the last look."""

    canary: Counts
    baseline: Counts


def answered(requests: int, bad: int = 0, latency: dict[int, int] | None = None) -> Counts:
    return Counts(requests, bad, bad, latency or {})


def each_look(canary_bad: int, baseline_bad: int = 1, requests: int = 100, looks: int = 60) -> list[Interval]:
    return [Interval(answered(requests, canary_bad), answered(requests, baseline_bad))] * looks


def requested(strategy, stack="shop", environment="prod", version="1.1") -> Requested:
    return Requested(stack, environment, version, strategy, RolloutPolicy(), RELEASE, Target("local"), LIVE)


class Story:
    """What is recorded of one deployment, event by event; every event has been JSON."""

    def __init__(self, strategy: Canary, **about: str) -> None:
        self.strategy = strategy
        self.events: list[deployment.Event] = []
        self.watch: canary.Watch | None = None
        self.looks = 0
        self._seen = Interval(Counts(), Counts())
        self._write(requested(strategy, **about))
        self._shift(1)

    @property
    def verdict(self) -> Judged:
        return next(event for event in reversed(self.events) if isinstance(event, Judged))

    @property
    def ended(self) -> bool:
        return isinstance(self.events[-1], Completed | RolledBack)

    def tell(self, command: canary.Command) -> None:
        decided = canary.decide(command, self.strategy, self.watch)
        assert not isinstance(decided, Refusal), decided
        for event in decided:
            self._write(event)
            self.watch = canary.evolve(self.watch, self.events[-1], self.strategy)
        if isinstance(decided[-1], Judged):
            self._follow(decided[-1])

    def look(self, interval: Interval, counters=None, epoch="e1") -> None:
        self.looks += 1
        fresh = self.watch.last is not None and self.watch.last.epoch != epoch
        before = Interval(Counts(), Counts()) if fresh else self._seen
        self._seen = Interval(*(total(arms) for arms in zip(before, interval, strict=True)))
        self.tell(Look(START + self.looks * EVERY, epoch, *self._seen, counters or {}))

    def go_on(self, intervals: Iterable[Interval]) -> "Story":
        """Until it is decided, or there is nothing more to see."""
        for interval in intervals:
            if self.ended:
                break
            self.look(interval)
        return self

    def end(self, *events: deployment.Event) -> "Story":
        for event in events:
            self._write(event)
        return self

    def _follow(self, verdict: Judged) -> None:
        match verdict.decision:
            case "advance":
                self._write(StepCompleted(verdict.step, verdict.reason))
                self._shift(self.watch.step + 2)
            case "promote":
                self.end(StepCompleted(verdict.step, verdict.reason), Completed("1.1"))
            case "roll_back":
                self.end(RollbackStarted(verdict.reason), RolledBack(verdict.reason, LIVE))
            case "continue" | "await_approval" | "inconclusive":
                pass

    def _shift(self, number: int) -> None:
        weight = self.strategy.steps[number - 1].weight
        weights = {"canary": weight, "stable": 100 - weight}
        self.tell(ShiftTraffic(f"canary-{number}", weights, START + self.looks * EVERY))

    def _write(self, event: deployment.Event) -> None:
        self.events.append(msgspec.json.decode(msgspec.json.encode(event), type=deployment.Event))


def recorded(strategy: Canary, intervals: Iterable[Interval], **about: str) -> Story:
    return Story(strategy, **about).go_on(intervals)
