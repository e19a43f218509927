"""The versions of models: how each was made, and what has become of it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Literal, NamedTuple

from msgspec import Struct, structs

from domain import experiment, model
from domain.pipeline import Algorithm
from eventstore.envelope import Recorded
from projections.projection import Table

DeploymentStatus = Literal["training", "trained", "shadow", "active", "retired", "discarded"]


class ModelVersion(Struct, frozen=True, kw_only=True):
    """Its number stands from the request for its training on. `training_data_ref` is the dataset's id,
    `training_data_content` and `artifact` are SHA-256 of what is stored; metrics are those on the holdout."""

    id: str
    model_id: str
    version: str
    experiment_id: str
    model_type: Algorithm
    framework: str = "scikit-learn"
    training_data_ref: str | None = None
    training_data_content: str | None = None
    training_samples: int | None = None
    artifact: str | None = None
    classes: list[str] = []
    performance_metrics: dict[str, float] = {}
    accuracy: float | None = None
    holdout: model.Holdout | None = None
    deployment_status: DeploymentStatus = "training"
    is_active: bool = False
    created_at: datetime
    updated_at: datetime
    position: int


class Becomes(NamedTuple):
    """What becomes of a version; with `only`, if it is that now."""

    status: DeploymentStatus
    only: DeploymentStatus | None = None


def keys(event: Recorded, data: Any) -> Mapping[str, Any] | None:
    """The ids of experiments are `<model>-<version>`, those of versions `<model>/<version>`."""
    of_model = f"{event.stream.id}/"
    match data:
        case experiment.Requested():
            return {_version_of(event.stream.id): data}
        case experiment.Concluded("discarded"):
            return {_version_of(event.stream.id): Becomes("discarded", only="training")}
        case model.VersionAdded(version):
            return {of_model + version: data}
        case model.ComparisonStarted(_, "shadow", other):
            return {of_model + other: Becomes("shadow", only="trained")}
        case model.ComparisonEnded(experiment_id):
            return {_version_of(experiment_id): Becomes("trained", only="shadow")}
        case model.Promoted(version, previous) | model.RolledBack(version, previous):
            given_up = {of_model + previous: Becomes("retired")} if previous else {}
            return {**given_up, **({of_model + version: Becomes("active")} if version else {})}
        case model.VersionDiscarded(version):
            return {of_model + version: Becomes("discarded")}
        case _:
            return None


def _version_of(experiment_id: str) -> str:
    model_id, _, version = experiment_id.rpartition("-")
    return f"{model_id}/{version}"


def fold(
    row: ModelVersion | None, event: Recorded, data: experiment.Requested | model.VersionAdded | Becomes
) -> ModelVersion | None:
    if isinstance(data, experiment.Requested):
        return ModelVersion(
            id=f"{data.model_id}/{data.version}",
            model_id=data.model_id,
            version=data.version,
            experiment_id=event.stream.id,
            model_type=data.pipeline.algorithm,
            created_at=event.time,
            updated_at=event.time,
            position=event.position,
        )
    if row is None:
        return None
    now = structs.replace(row, updated_at=event.time, position=event.position)
    if isinstance(data, model.VersionAdded):
        return structs.replace(
            now,
            training_data_ref=data.dataset_id,
            training_data_content=data.content,
            training_samples=data.training_samples,
            artifact=data.artifact,
            classes=list(data.classes),
            performance_metrics=data.metrics,
            accuracy=data.metrics.get("accuracy"),
            holdout=data.holdout,
            deployment_status="trained",
        )
    if data.only not in (None, row.deployment_status):
        return row
    return structs.replace(now, deployment_status=data.status, is_active=data.status == "active")


model_versions = Table(
    "versions",
    ModelVersion,
    keys,
    fold,
    filters=("model_id", "deployment_status", "is_active", "created_at"),
)
