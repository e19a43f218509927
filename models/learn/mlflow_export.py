"""An experiment as a run in MLflow, for those who compare runs there. The record stays the log's.

Needs the extra `mlflow` (its client alone). Nothing is sent but to the tracking server that was named: MLflow's own
telemetry is switched off.
"""
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# mlflow has types in part

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Iterable, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from msgspec import Struct, structs

from domain import experiment

_EXPERIMENT: Final = "sagacity.experiment"
_ENVIRONMENT: Final = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "DO_NOT_TRACK": "1",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "3",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "30",
}
"""Unless it says something else. MLflow would try for minutes to reach a server that is not there."""


class ExportUnavailable(Exception):
    """The extra `mlflow` is not installed."""


class ExportFailed(Exception):
    """The tracking server did not take it; the same export can be tried again."""


class RunRecord(Struct, frozen=True):
    """What the log says of one experiment."""

    experiment_id: str
    requested: experiment.Requested
    started: datetime
    dataset: experiment.Dataset | None = None
    trained: experiment.Trained | None = None
    evaluated: experiment.Evaluated | None = None
    outcome: experiment.Outcome | None = None
    reason: str = ""
    ended: datetime | None = None


def record_of(experiment_id: str, events: Iterable[tuple[datetime, experiment.Event]]) -> RunRecord:
    """From all events of its stream, each with its time. Raises ValueError when they do not begin with the request."""
    record: RunRecord | None = None
    for time, event in events:
        match event:
            case experiment.Requested():
                record = RunRecord(experiment_id, event, time, event.dataset)
            case _ if record is None:
                break
            case experiment.DatasetAssembled(dataset):
                record = structs.replace(record, dataset=dataset)
            case experiment.Trained():
                record = structs.replace(record, trained=event)
            case experiment.Evaluated():
                record = structs.replace(record, evaluated=event)
            case experiment.Concluded(outcome, reason):
                record = structs.replace(record, outcome=outcome, reason=reason, ended=time)
            case (
                experiment.CancellationRequested()
                | experiment.StepStarted()
                | experiment.Decided()
                | experiment.Promoted()
                | experiment.RollbackStarted()
            ):
                pass
    if record is None:
        raise ValueError(f"the experiment {experiment_id} was never requested")
    return record


def export(record: RunRecord, artifact: bytes | None, *, tracking_uri: str, experiment_name: str) -> str:
    """The run's id: that of the run of an earlier export, if there is one. `artifact` is None when there is none to
    keep. Blocks. Raises ExportUnavailable, ExportFailed; ValueError when the artifact is another experiment's."""
    if artifact is not None and (record.trained is None or _sha256(artifact) != record.trained.artifact):
        raise ValueError(f"this is not the artifact of {record.experiment_id}")
    for name, value in _ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    try:
        from mlflow.exceptions import MlflowException
        from mlflow.tracking import MlflowClient
    except ImportError as error:
        raise ExportUnavailable("MLflow's client is not installed: it is the extra `mlflow`") from error
    try:
        return _export(MlflowClient(tracking_uri=tracking_uri), record, artifact, experiment_name)
    except (MlflowException, OSError) as error:
        raise ExportFailed(f"{tracking_uri} did not take it: {error}") from error


def _export(client: Any, record: RunRecord, artifact: bytes | None, experiment_name: str) -> str:
    from mlflow.entities import Metric, Param, RunTag

    run_id, finished = _run(client, _experiment(client, experiment_name), record)
    if finished:
        return run_id
    ended = _milliseconds(record.ended or record.started)
    client.log_batch(
        run_id,
        metrics=[Metric(name, value, ended, 0) for name, value in _metrics(record).items()],
        params=[Param(name, value) for name, value in _parameters(record.requested).items()],
        tags=[RunTag(name, value) for name, value in _tags(record).items()],
    )
    if artifact is not None:
        with tempfile.TemporaryDirectory() as directory:
            file = Path(directory, f"{record.experiment_id}.skops")
            file.write_bytes(artifact)
            client.log_artifact(run_id, str(file))
    if record.ended is not None:
        client.set_terminated(run_id, "FINISHED" if record.trained else "FAILED", ended)
    return run_id


def _experiment(client: Any, name: str) -> str:
    found = client.get_experiment_by_name(name)
    return client.create_experiment(name) if found is None else found.experiment_id


def _run(client: Any, mlflow_experiment: str, record: RunRecord) -> tuple[str, bool]:
    """An export that was cut off left a run that is not finished: it is written to once more."""
    runs: Sequence[Any] = client.search_runs(
        [mlflow_experiment], f"tags.`{_EXPERIMENT}` = '{record.experiment_id}'", max_results=1
    )
    if runs:
        return runs[0].info.run_id, runs[0].info.status in {"FINISHED", "FAILED"}
    created = client.create_run(
        mlflow_experiment,
        start_time=_milliseconds(record.started),
        tags={_EXPERIMENT: record.experiment_id},
        run_name=record.experiment_id,
    )
    return created.info.run_id, False


def _parameters(requested: experiment.Requested) -> dict[str, str]:
    training = requested.policy.training
    return {
        "algorithm": requested.pipeline.algorithm,
        **{name: str(value) for name, value in requested.pipeline.parameters.items()},
        "seed": str(requested.seed),
        "holdout": str(training.holdout),
        "split": training.split,
        "target": requested.target,
        "features": str(len(requested.features)),
    }


def _metrics(record: RunRecord) -> dict[str, float]:
    found: dict[str, float] = {}
    if record.trained is not None:
        found["training_samples"] = record.trained.training_samples
        found["duration_seconds"] = record.trained.duration_seconds
    if record.evaluated is not None:
        found |= record.evaluated.metrics
        found |= {f"champion_{name}": value for name, value in record.evaluated.champion.items()}
        found |= {"holdout_rows": record.evaluated.holdout.rows, "holdout_wrong": record.evaluated.holdout.wrong}
    return found


def _tags(record: RunRecord) -> dict[str, str]:
    requested, trained, data = record.requested, record.trained, record.dataset
    found = {"model": requested.model_id, "version": requested.version, "trigger": requested.trigger}
    if data is not None:
        found |= {"dataset": data.dataset_id, "dataset_sha256": data.content}
    if trained is not None:
        found |= {"artifact_sha256": trained.artifact, "classes": ", ".join(trained.classes)[:1_000]}
        found |= {f"library.{name}": version for name, version in trained.libraries.items()}
    if record.outcome is not None:
        found |= {"outcome": record.outcome, "reason": record.reason}
    return {f"sagacity.{name}": value for name, value in found.items() if value}


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _milliseconds(time: datetime) -> int:
    return round(time.timestamp() * 1000)
