"""Read model: experiments, from what asked for the training to what became of the version."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from msgspec import Struct, structs

from domain import experiment, gate, model
from domain.model_policy import ModelPolicy
from domain.pipeline import Feature, Pipeline
from eventstore.envelope import Recorded
from projections.projection import Projection, Table, stream_id

Status = Literal["requested", "running", "undoing", "ended"]


class ExperimentConfig(Struct, frozen=True):
    """`champion` is the version in use when it began; `dataset_id`, what was asked for, if anything was."""

    features: list[Feature]
    target: str
    pipeline: Pipeline
    seed: int
    policy: ModelPolicy
    dataset_id: str | None
    champion: str | None


class Results(Struct, frozen=True):
    """Of the training, then of the evaluation on the holdout: `champion_metrics` on the same rows, `pairs` who of
    both was right. Of the libraries, the versions."""

    training_samples: int
    holdout_samples: int
    training_seconds: float
    artifact_bytes: int
    classes: list[str]
    libraries: dict[str, str]
    metrics: dict[str, float] = {}
    champion_metrics: dict[str, float] = {}
    holdout: model.Holdout | None = None
    pairs: gate.Pairs | None = None


class Experiment(Struct, frozen=True, kw_only=True):
    """`reason`: why it was asked for; `decision` and `decision_reason` are the gate's, the last reason is that of the
    outcome. `duration_seconds`: from the request to the end."""

    id: str
    model_id: str
    model_version: str
    status: Status = "requested"
    step: experiment.Step | None = None
    trigger: model.Trigger
    reason: str
    experiment_config: ExperimentConfig
    dataset: experiment.Dataset | None
    artifact: str | None = None
    results: Results | None = None
    decision: Literal["promote", "discard"] | None = None
    decision_reason: str | None = None
    judgement: gate.Judgement | None = None
    cancelled: bool = False
    outcome: experiment.Outcome | None = None
    outcome_reason: str | None = None
    duration_seconds: float | None = None
    requested_by: str
    created_at: datetime
    updated_at: datetime
    ended_at: datetime | None = None
    correlation_id: str
    version: int
    position: int


def fold(row: Experiment | None, event: Recorded, data: experiment.Event) -> Experiment | None:
    if isinstance(data, experiment.Requested):
        return _requested(event, data)
    if row is None:
        return None
    now = structs.replace(row, updated_at=event.time, version=event.version, position=event.position)
    match data:
        case experiment.CancellationRequested(reason):
            return structs.replace(now, cancelled=True, outcome_reason=reason)
        case experiment.StepStarted(step):
            return structs.replace(now, status="running", step=step)
        case experiment.DatasetAssembled(dataset):
            return structs.replace(now, dataset=dataset)
        case experiment.Trained():
            return structs.replace(now, artifact=data.artifact, results=_trained(data))
        case experiment.Evaluated():
            return structs.replace(now, results=_evaluated(row.results, data))
        case experiment.Decided(decision, reason, judgement):
            return structs.replace(now, decision=decision, decision_reason=reason, judgement=judgement)
        case experiment.Promoted():
            return now
        case experiment.RollbackStarted(reason):
            return structs.replace(now, status="undoing", outcome_reason=reason)
        case experiment.Concluded(outcome, reason):
            seconds = (event.time - row.created_at).total_seconds()
            ended = structs.replace(now, status="ended", step=None, ended_at=event.time, duration_seconds=seconds)
            return structs.replace(ended, outcome=outcome, outcome_reason=reason)


def _requested(event: Recorded, data: experiment.Requested) -> Experiment:
    config = ExperimentConfig(
        list(data.features),
        data.target,
        data.pipeline,
        data.seed,
        data.policy,
        data.dataset.dataset_id if data.dataset else None,
        data.champion.version if data.champion else None,
    )
    return Experiment(
        id=event.stream.id,
        model_id=data.model_id,
        model_version=data.version,
        trigger=data.trigger,
        reason=data.reason,
        experiment_config=config,
        dataset=data.dataset,
        requested_by=event.envelope.actor,
        created_at=event.time,
        updated_at=event.time,
        correlation_id=event.envelope.correlationid,
        version=event.version,
        position=event.position,
    )


def _trained(data: experiment.Trained) -> Results:
    return Results(
        data.training_samples,
        data.holdout_samples,
        data.duration_seconds,
        data.artifact_bytes,
        list(data.classes),
        data.libraries,
    )


def _evaluated(results: Results | None, data: experiment.Evaluated) -> Results | None:
    if results is None:
        return None
    return structs.replace(
        results,
        metrics=data.metrics,
        champion_metrics=data.champion,
        holdout=data.holdout,
        pairs=data.pairs if data.champion else None,
    )


experiments = Projection(
    "experiments",
    frozenset({"experiment"}),
    (
        Table(
            "experiments",
            Experiment,
            stream_id,
            fold,
            filters=("model_id", "status", "outcome", "trigger", "requested_by", "correlation_id", "created_at"),
        ),
    ),
)
