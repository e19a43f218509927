"""What was measured of the versions of models: when they were made, on rows held out, and in use."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any, Literal

from msgspec import Struct

from domain import experiment, monitor
from domain.drift import Window
from eventstore.envelope import Recorded
from projections.projection import Journal

Environment = Literal["training", "holdout", "production"]


class ModelMetric(Struct, frozen=True):
    """In production, `error_rate` and `accuracy` are of the rows of that version in one observation;
    `psi.<feature>` and `p_value.<feature>` compare a window of rows with the reference."""

    id: str
    model_id: str
    version: str
    metric_name: str
    metric_value: float
    timestamp: datetime
    environment: Environment
    position: int


def tell(event: Recorded, data: Any) -> Iterator[ModelMetric]:
    model_id, version = event.stream.id, ""
    environment: Environment = "production"
    metrics: list[tuple[str, float]] = []
    match data:
        case experiment.Trained():
            environment, (model_id, version) = "training", _version_of(event.stream.id)
            counts = ("training_samples", "holdout_samples", "artifact_bytes", "duration_seconds")
            metrics = [(name, float(getattr(data, name))) for name in counts]
        case experiment.Evaluated(found):
            environment, (model_id, version) = "holdout", _version_of(event.stream.id)
            metrics = list(found.items())
        case monitor.OutcomesObserved(version=version, of_version=rows, errors=int(wrong)) if rows:
            metrics = [("error_rate", wrong / rows), ("accuracy", 1 - wrong / rows)]
        case monitor.InputsObserved(_, version):
            metrics = [each for window in data.windows for each in _compared(window)]
        case _:
            return
    for number, (name, value) in enumerate(metrics, 1):
        id = f"{event.stream}/{event.version}/{number}"
        yield ModelMetric(id, model_id, version, name, value, event.time, environment, event.position)


def _version_of(experiment_id: str) -> tuple[str, str]:
    """The ids of experiments are `<model>-<version>`."""
    model_id, _, version = experiment_id.rpartition("-")
    return model_id, version


def _compared(window: Window) -> Iterator[tuple[str, float]]:
    for name, found in window.features.items():
        yield f"psi.{name}", found.effect
        yield f"p_value.{name}", found.p_value


model_metrics = Journal(
    "model_metrics",
    ModelMetric,
    tell,
    filters=("model_id", "version", "metric_name", "environment", "timestamp"),
)
