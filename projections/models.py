"""Read model: models, their versions, and what was measured of them."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from msgspec import Struct, structs

from domain import model
from domain.model_policy import ModelPolicy
from domain.pipeline import Feature, Pipeline
from eventstore.envelope import Recorded
from projections.model_metrics import model_metrics
from projections.model_versions import model_versions
from projections.projection import Projection, Table


class Model(Struct, frozen=True, kw_only=True):
    """`previous_versions` were in use before the active one, oldest first; `accuracies` are those on the holdout, by
    version; `training` is the experiment under way."""

    id: str
    name: str
    organization_id: str | None
    description: str
    features: list[Feature]
    target: str
    pipeline: Pipeline
    policy: ModelPolicy
    active_version: str | None = None
    previous_versions: list[str] = []
    accuracy: float | None = None
    """Of the active version."""
    accuracies: dict[str, float] = {}
    training: str | None = None
    comparison: model.Comparison | None = None
    created_at: datetime
    updated_at: datetime
    version: int
    position: int


def key(event: Recorded, data: Any) -> str | None:
    return event.stream.id if event.stream.category == "model" else None


def fold(row: Model | None, event: Recorded, data: model.Event) -> Model | None:
    if isinstance(data, model.Registered):
        return _registered(event, data)
    if row is None:
        return None
    now = structs.replace(row, updated_at=event.time, version=event.version, position=event.position)
    match data:
        case model.Configured(pipeline, policy):
            return structs.replace(now, pipeline=pipeline, policy=policy)
        case model.TrainingReserved(experiment_id):
            return structs.replace(now, training=experiment_id)
        case model.TrainingReleased():
            return structs.replace(now, training=None)
        case model.VersionAdded():
            accuracy = data.metrics.get("accuracy")
            known = {} if accuracy is None else {data.version: accuracy}
            return structs.replace(now, accuracies={**row.accuracies, **known})
        case model.ComparisonStarted(experiment_id, kind, other):
            return structs.replace(now, comparison=model.Comparison(experiment_id, kind, other))
        case model.ComparisonEnded():
            return structs.replace(now, comparison=None)
        case model.Promoted(version, previous):
            before = [each for each in row.previous_versions if each != version]
            return _in_use(now, version, [*before, previous] if previous else before)
        case model.RolledBack(version):
            before = row.previous_versions
            return _in_use(now, version, before[: before.index(version)] if version in before else [])
        case model.VersionDiscarded():
            return now


def _registered(event: Recorded, data: model.Registered) -> Model:
    return Model(
        id=event.stream.id,
        name=data.name,
        organization_id=data.organization_id,
        description=data.description,
        features=list(data.features),
        target=data.target,
        pipeline=data.pipeline,
        policy=data.policy,
        created_at=event.time,
        updated_at=event.time,
        version=event.version,
        position=event.position,
    )


def _in_use(row: Model, version: str | None, before: list[str]) -> Model:
    accuracy = row.accuracies.get(version) if version else None
    return structs.replace(row, active_version=version, previous_versions=before, accuracy=accuracy)


models = Projection(
    "models",
    frozenset({"model", "experiment", "monitor"}),
    (
        Table("models", Model, key, fold, filters=("organization_id", "name", "active_version", "created_at")),
        model_versions,
        model_metrics,
    ),
)
