"""One model judged again: whether its record adds up, and what another policy would have said."""

from __future__ import annotations

from collections.abc import AsyncIterable, Iterable, Sequence

from domain import monitor
from domain.model_policy import Monitoring
from models.observe.asking import SOURCES
from models.observe.drift_changes import Judgements, Look, Rejudged, changes
from models.observe.drift_difference import difference
from models.observe.drift_policy import AS_RECORDED, Policy
from models.observe.drift_replay import Step, steps
from models.observe.referencing import Get


async def rejudge(
    model_id: str, events: AsyncIterable[monitor.Event], get: Get, policy: Policy | None = None, first: int = 1
) -> Rejudged:
    """`events` of the model's monitor, from the very first one on; beginnings before `first` are left out; `policy`
    None: as recorded. Raises as `steps`."""
    looks: list[Look] = []
    found: str | None = None
    number = 0
    async for step in steps(events, get, policy or AS_RECORDED, first):
        number += 1
        looks.append(_look(number, step))
        if policy is None and found is None:
            found = difference(step.recorded, step.replayed)
    identical = found is None if policy is None else None
    return Rejudged(model_id, number, changes(looks), identical, found)


def _look(number: int, step: Step) -> Look:
    recorded, replayed = _judged(step.recorded), _judged(step.replayed)
    then, now = _compared(step.recorded), _compared(step.replayed)
    return Look(
        number,
        step.beginning,
        step.began.version,
        [event.verdict for event in recorded],
        [event.verdict for event in replayed],
        (_asks(recorded, step.began.monitoring), _asks(replayed, step.monitoring)),
        Judgements(then.experiment_id, then.kind, then.judgement, now.judgement) if then and now else None,
    )


def _judged(events: Iterable[monitor.Event]) -> list[monitor.Judged]:
    return [event for event in events if isinstance(event, monitor.Judged)]


def _compared(events: Iterable[monitor.Event]) -> monitor.Compared | None:
    return next((event.compared for event in events if isinstance(event, monitor.ComparisonJudged)), None)


def _asks(judged: Sequence[monitor.Judged], monitoring: Monitoring) -> bool:
    """For a training."""
    return any(SOURCES[event.verdict.kind] in monitoring.retrain_on for event in judged)
