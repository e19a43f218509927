"""The events of a deployment as the turns of its canaries: each a command, and what was recorded of it.

The decider given the same commands again must record the same: that is how a log is checked.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple, cast

from msgspec import Struct, structs, to_builtins

from domain import canary, deployment
from domain.canary import Approved, Judged, Measured, MetricMeasured, Promoted, TrafficShifted
from domain.decider import Refusal
from domain.measurement import Counts
from domain.strategy import Canary, declared


class Turn(NamedTuple):
    """`answered` is what the canary answered since the turn before, `requests` all requests to it so far."""

    command: canary.Command
    recorded: tuple[canary.Event, ...]
    answered: Counts
    requests: int

    @property
    def verdict(self) -> Judged | None:
        """Of nothing but a shift of traffic there is none."""
        last = self.recorded[-1]
        return last if isinstance(last, Judged) else None


class Course(NamedTuple):
    """One canary: a deployment has one for each attempt that got as far. `ended`: nothing more can come of it."""

    attempt: int
    strategy: Canary
    turns: tuple[Turn, ...]
    ended: bool


def courses(events: Iterable[deployment.Event]) -> list[Course]:
    """Those that had traffic, first to last; none for a deployment by another strategy.

    Raises ValueError for verdicts that follow from nothing on record.
    """
    strategy: Canary | None = None
    attempts: list[list[canary.Event]] = [[]]
    ended = False
    for event in events:
        match event:
            case deployment.Requested():
                of = declared(event.strategy)
                strategy = of if isinstance(of, Canary) else None
            case deployment.AttemptStarted():
                attempts.append([])
            case TrafficShifted() | Measured() | MetricMeasured() | Judged() | Approved() | Promoted():
                attempts[-1].append(event)
            case deployment.RollbackStarted() | deployment.Completed() | deployment.RolledBack() | deployment.Failed():
                ended = True
            case (
                deployment.CancellationRequested()
                | deployment.StepStarted()
                | deployment.StepCompleted()
                | deployment.StepFailed()
                | deployment.StepsSkipped()
                | deployment.HealthReported()
                | deployment.StepCompensated()
            ):
                pass
    if strategy is None:
        return []
    return [
        Course(number, strategy, tuple(_turns(of)), ended or number < len(attempts))
        for number, of in enumerate(attempts, 1)
        if of
    ]


def difference(course: Course) -> str | None:
    """Where the decider now decides otherwise than was recorded, first of all; None: nowhere, bit for bit.

    Words for people (the reason of a verdict) are no part of it: another release may say the same otherwise.
    """
    watch = None
    for turn in course.turns:
        again = canary.decide(turn.command, course.strategy, watch)
        where = f"verdict {turn.verdict.number}" if turn.verdict else "traffic shifted"
        if isinstance(again, Refusal):
            return f"{where}: recorded, but now refused: {again.reason}"
        found = _first_difference(_without_words(turn.recorded), _without_words(again))
        if found is not None:
            return f"{where}: {found}"
        for event in turn.recorded:
            watch = canary.evolve(watch, event, course.strategy)
    return None


def _turns(events: Sequence[canary.Event]) -> Iterator[Turn]:
    last: Measured | None = None
    requests = 0
    for group in _groups(events):
        of_canary = Counts()
        match group[0]:
            case Measured() as now:
                of_canary, _ = canary.answered(last, now)
                last = now
            case TrafficShifted() | MetricMeasured() | Judged() | Approved() | Promoted():
                pass
        requests += of_canary.requests
        yield Turn(_command(group), group, of_canary, requests)


def _groups(events: Iterable[canary.Event]) -> Iterator[tuple[canary.Event, ...]]:
    """What was recorded at once: a shift of traffic alone, everything else with the verdict that ends it."""
    group: list[canary.Event] = []
    for event in events:
        group.append(event)
        if isinstance(event, TrafficShifted | Judged):
            yield tuple(group)
            group = []


def _command(group: Sequence[canary.Event]) -> canary.Command:
    match group[0]:
        case TrafficShifted(step, weights, at):
            return canary.ShiftTraffic(step, weights, at)
        case Measured(at, epoch, of_canary, of_baseline):
            metrics = (event for event in group if isinstance(event, MetricMeasured))
            counters = {event.metric: event.counter for event in metrics if event.counter is not None}
            return canary.Look(at, epoch, of_canary, of_baseline, counters)
        case MetricMeasured(metric, of_canary, of_baseline):
            return canary.RecordMeasurement(metric, of_canary, of_baseline)
        case Approved(_, reason):
            return canary.Approve(reason)
        case Promoted(_, reason):
            return canary.Promote(reason)
        case Judged(number):
            raise ValueError(f"verdict {number} follows from nothing on record")


def _without_words(events: Iterable[canary.Event]) -> list[Struct]:
    return [structs.replace(event, reason="") if isinstance(event, Judged) else event for event in events]


def _first_difference(recorded: Sequence[Struct], again: Sequence[Struct]) -> str | None:
    if len(recorded) != len(again):
        return f"{len(recorded)} events were recorded, and now there are {len(again)}"
    for old, new in zip(recorded, again, strict=True):
        if old != new:
            return f"{old.__struct_config__.tag}: {_difference(to_builtins(old), to_builtins(new), '')}"
    return None


def _difference(recorded: Any, again: Any, where: str) -> str | None:
    """Of two documents."""
    old, new = _parts(recorded), _parts(again)
    if old is None or new is None:
        return None if recorded == again else f"{where.lstrip('.')}: recorded {recorded!r}, now {again!r}"
    found = (_difference(old.get(part), new.get(part), where + part) for part in {**old, **new})
    return next((each for each in found if each is not None), None)


def _parts(document: Any) -> dict[str, Any] | None:
    """None: it has none."""
    if isinstance(document, dict):
        return {f".{key}": value for key, value in cast(dict[str, Any], document).items()}
    if isinstance(document, tuple):
        return {f"[{number}]": value for number, value in enumerate(cast(tuple[Any, ...], document))}
    return None
