"""Read model: what is observed of the models in use, and every verdict of drift."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from msgspec import Struct, structs

from domain import drift_budget, monitor
from domain.drift import Kind, Method, Thresholds, Window
from domain.model import Holdout
from eventstore.envelope import Recorded
from projections.projection import Journal, Projection, Table, stream_id


class DriftVerdict(Struct, frozen=True):
    """`at` counts the rows since the reference; `statistic` is beyond `threshold` (see `domain.drift.Verdict`)."""

    id: str
    model_id: str
    version: str
    number: int
    observation: int
    kind: Kind
    feature: str
    method: Method
    at: int
    statistic: float
    threshold: float
    details: dict[str, float]
    policy_version: str
    time: datetime
    position: int


class Monitor(Struct, frozen=True, kw_only=True):
    """The version that is watched, and what was seen of it since it is: `predictions`, and `outcomes`, labelled rows of
    that version of which `wrong` were wrong. `labels`, `unmatched` (of labels) and `verdicts` count since ever.
    `rate_warning` says what it means for the budget when `predictions_per_day` are not as expected."""

    id: str
    model_version: str | None = None
    reference: str | None = None
    thresholds: Thresholds | None = None
    policy_version: str | None = None
    since: datetime | None = None
    holdout: Holdout | None = None
    holdout_error_rate: float | None = None
    predictions: int = 0
    predictions_per_day: float | None = None
    expected_per_day: int | None = None
    rate_warning: str | None = None
    outcomes: int = 0
    wrong: int = 0
    error_rate: float | None = None
    last_window: Window | None = None
    last_verdict: DriftVerdict | None = None
    comparison: monitor.Compared | None = None
    labels: int = 0
    unmatched: int = 0
    verdicts: int = 0
    updated_at: datetime
    version: int
    position: int


def fold(row: Monitor | None, event: Recorded, data: monitor.Event) -> Monitor:
    return _rated(_folded(row, event, data))


def _rated(row: Monitor) -> Monitor:
    if row.since is None or row.expected_per_day is None or not row.predictions:
        return row
    seconds = (row.updated_at - row.since).total_seconds()
    return structs.replace(
        row,
        predictions_per_day=drift_budget.per_day(row.predictions, seconds),
        rate_warning=drift_budget.rate_warning(row.expected_per_day, row.predictions, seconds),
    )


def _folded(row: Monitor | None, event: Recorded, data: monitor.Event) -> Monitor:
    """Labels may come before anything is watched."""
    before = row or Monitor(id=event.stream.id, updated_at=event.time, version=0, position=0)
    now = structs.replace(before, updated_at=event.time, version=event.version, position=event.position)
    match data:
        case monitor.LabelsRecorded(labels):
            return structs.replace(now, labels=now.labels + len(labels))
        case monitor.Began():
            return _began(now, event, data)
        case monitor.InputsObserved():
            last = data.windows[-1] if data.windows else now.last_window
            return structs.replace(now, predictions=now.predictions + data.rows, last_window=last)
        case monitor.OutcomesObserved():
            return _counted(structs.replace(now, unmatched=now.unmatched + data.unmatched), data)
        case monitor.Judged():
            return structs.replace(now, verdicts=data.number, last_verdict=_verdict(event, data))
        case monitor.ComparisonJudged(_, compared):
            return structs.replace(now, comparison=compared)


def _counted(row: Monitor, data: monitor.OutcomesObserved) -> Monitor:
    """Where rows of other versions are among them, only if it was told whose were wrong."""
    if not data.of_version or data.errors is None:
        return row
    outcomes, wrong = row.outcomes + data.of_version, row.wrong + data.errors
    return structs.replace(row, outcomes=outcomes, wrong=wrong, error_rate=wrong / outcomes)


def _began(row: Monitor, event: Recorded, data: monitor.Began) -> Monitor:
    """What was counted of the version before is told by the metrics of the model."""
    holdout = data.holdout
    return Monitor(
        id=row.id,
        model_version=data.version,
        reference=data.reference,
        thresholds=data.thresholds,
        policy_version=data.policy_version,
        since=event.time,
        holdout=holdout,
        holdout_error_rate=holdout.wrong / holdout.rows if holdout.rows else None,
        expected_per_day=data.monitoring.expected_per_day,
        labels=row.labels,
        unmatched=row.unmatched,
        verdicts=row.verdicts,
        updated_at=row.updated_at,
        version=row.version,
        position=row.position,
    )


def _verdict(event: Recorded, judged: monitor.Judged) -> DriftVerdict:
    verdict = judged.verdict
    return DriftVerdict(
        f"{event.stream.id}/{judged.number}",
        event.stream.id,
        judged.version,
        judged.number,
        judged.observation,
        verdict.kind,
        verdict.feature,
        verdict.method,
        verdict.at,
        verdict.statistic,
        verdict.threshold,
        verdict.details,
        judged.policy_version,
        event.time,
        event.position,
    )


def tell(event: Recorded, data: Any) -> list[DriftVerdict]:
    return [_verdict(event, data)] if isinstance(data, monitor.Judged) else []


monitors = Projection(
    "monitors",
    frozenset({"monitor"}),
    (
        Table("monitors", Monitor, stream_id, fold, filters=("model_version", "since")),
        Journal("drift", DriftVerdict, tell, filters=("model_id", "version", "kind", "feature", "method", "time")),
    ),
)
