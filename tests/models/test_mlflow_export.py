"""Runs in MLflow, by its client, in a store of files: what they say, and that an experiment is one of them."""

import hashlib
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from domain import experiment
from domain.gate import Pairs
from domain.model import Holdout
from domain.model_policy import ModelPolicy
from domain.pipeline import Feature, Pipeline
from models.learn.mlflow_export import ExportFailed, ExportUnavailable, RunRecord, export, record_of

ARTIFACT = b"the bytes of an artifact"
SHA256 = hashlib.sha256(ARTIFACT).hexdigest()
DATASET = experiment.Dataset("rain-2026", "c" * 64, 1_000)
REQUESTED = experiment.Requested(
    "rain", "3", "drift", "", (Feature("a"), Feature("b")), "target",
    Pipeline("decision_tree", {"max_depth": 4}), 11, ModelPolicy(), None, None, 0,
)  # fmt: skip
TRAINED = experiment.Trained(SHA256, len(ARTIFACT), ("no", "yes"), 700, 300, 2.5, {"scikit-learn": "1.9.1"})
EVALUATED = experiment.Evaluated(
    {"accuracy": 0.9, "log_loss": 0.3}, Holdout(300, 30), {"accuracy": 0.8, "log_loss": 0.5}, Pairs(200, 20, 50, 30)
)


def at(second: int) -> datetime:
    return datetime(2026, 11, 21, 12, 0, second, tzinfo=UTC)


EVENTS: list[tuple[datetime, experiment.Event]] = [
    (at(0), REQUESTED),
    (at(1), experiment.StepStarted("assemble")),
    (at(2), experiment.DatasetAssembled(DATASET)),
    (at(3), TRAINED),
    (at(4), EVALUATED),
    (at(5), experiment.Decided("promote", "better", None)),
    (at(6), experiment.Promoted()),
    (at(7), experiment.Concluded("promoted", "better on 300 rows")),
]
RECORD = RunRecord(
    "rain-3", REQUESTED, at(0), DATASET, TRAINED, EVALUATED, "promoted", "better on 300 rows", at(7)
)  # fmt: skip


def test_the_record_is_what_the_log_says() -> None:
    assert record_of("rain-3", EVENTS) == RECORD


def test_what_was_never_requested_is_no_record() -> None:
    with pytest.raises(ValueError, match="rain-3 was never requested"):
        record_of("rain-3", EVENTS[1:])


def test_without_the_extra_it_says_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "mlflow", None)
    monkeypatch.setitem(sys.modules, "mlflow.exceptions", None)
    with pytest.raises(ExportUnavailable, match="the extra `mlflow`"):
        export(RECORD, ARTIFACT, tracking_uri="http://127.0.0.1:1", experiment_name="sagacity")


def test_an_artifact_of_another_experiment_is_not_exported() -> None:
    with pytest.raises(ValueError, match="not the artifact of rain-3"):
        export(RECORD, b"another", tracking_uri="http://127.0.0.1:1", experiment_name="sagacity")


@pytest.fixture
def tracking_uri(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> str:
    monkeypatch.setenv("MLFLOW_DISABLE_TELEMETRY", "true")
    monkeypatch.setenv("DO_NOT_TRACK", "1")
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    pytest.importorskip("mlflow", reason="MLflow's client is not installed: it is the extra `mlflow`")
    return f"file://{tmp_path}"


def runs_at(tracking_uri: str) -> list[Any]:
    from mlflow.tracking import MlflowClient

    client = MlflowClient(tracking_uri=tracking_uri)
    found = client.get_experiment_by_name("sagacity")
    return [] if found is None else list(client.search_runs([found.experiment_id]))


def exported(tracking_uri: str, record: RunRecord = RECORD, artifact: bytes | None = ARTIFACT) -> str:
    return export(record, artifact, tracking_uri=tracking_uri, experiment_name="sagacity")


def test_a_run_says_what_the_record_says(tracking_uri: str) -> None:
    run_id = exported(tracking_uri)
    (run,) = runs_at(tracking_uri)

    assert (run.info.run_id, run.info.run_name, run.info.status) == (run_id, "rain-3", "FINISHED")
    assert (run.info.start_time, run.info.end_time) == (at(0).timestamp() * 1000, at(7).timestamp() * 1000)
    assert run.data.params == {
        "algorithm": "decision_tree", "max_depth": "4", "seed": "11", "holdout": "0.3", "split": "random",
        "target": "target", "features": "2",
    }  # fmt: skip
    assert run.data.metrics == {
        "accuracy": 0.9, "log_loss": 0.3, "champion_accuracy": 0.8, "champion_log_loss": 0.5,
        "holdout_rows": 300, "holdout_wrong": 30, "training_samples": 700, "duration_seconds": 2.5,
    }  # fmt: skip
    tags = {name: value for name, value in run.data.tags.items() if name.startswith("sagacity.")}
    assert tags == {
        "sagacity.experiment": "rain-3", "sagacity.model": "rain", "sagacity.version": "3", "sagacity.trigger": "drift",
        "sagacity.dataset": "rain-2026", "sagacity.dataset_sha256": "c" * 64, "sagacity.artifact_sha256": SHA256,
        "sagacity.classes": "no, yes", "sagacity.library.scikit-learn": "1.9.1", "sagacity.outcome": "promoted",
        "sagacity.reason": "better on 300 rows",
    }  # fmt: skip
    kept = Path(run.info.artifact_uri.removeprefix("file://"), "rain-3.skops")
    assert kept.read_bytes() == ARTIFACT


def test_an_experiment_is_one_run_however_often_it_is_exported(tracking_uri: str) -> None:
    first = exported(tracking_uri)
    assert exported(tracking_uri) == first
    other = record_of("rain-4", EVENTS)
    assert exported(tracking_uri, other) != first
    assert len(runs_at(tracking_uri)) == 2


def test_an_export_that_was_cut_off_or_too_early_is_completed(tracking_uri: str) -> None:
    early = record_of("rain-3", EVENTS[:3])
    first = exported(tracking_uri, early, None)
    assert [run.info.status for run in runs_at(tracking_uri)] == ["RUNNING"]
    assert exported(tracking_uri) == first
    (run,) = runs_at(tracking_uri)
    assert (run.info.status, run.data.metrics["accuracy"]) == ("FINISHED", 0.9)


def test_a_training_that_failed_is_a_failed_run(tracking_uri: str) -> None:
    failed = record_of("rain-3", [*EVENTS[:3], (at(4), experiment.Concluded("discarded", "8 rows have a label"))])
    exported(tracking_uri, failed, None)
    (run,) = runs_at(tracking_uri)
    assert (run.info.status, run.data.tags["sagacity.reason"]) == ("FAILED", "8 rows have a label")


def test_a_server_that_is_not_there_is_said(tracking_uri: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    with pytest.raises(ExportFailed, match=r"http://127\.0\.0\.1:9 did not take it"):
        exported("http://127.0.0.1:9")
