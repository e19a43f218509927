"""What Prometheus may ask. Times are in seconds."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

REGISTRY = CollectorRegistry()

COMMANDS = Counter(
    "sagacity_commands",
    "Commands by type and outcome (what is no command has no type)",
    ["type", "outcome"],
    registry=REGISTRY,
)
COMMAND_SECONDS = Histogram(
    "sagacity_command_seconds",
    "From a command's arrival to its durable outcome",
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10),
    registry=REGISTRY,
)
HTTP = Counter(
    "sagacity_http_requests",
    "HTTP requests by method, route and status, without POST /commands (see sagacity_commands)",
    ["method", "route", "status"],
    registry=REGISTRY,
)
PROJECTION_POSITION = Gauge("sagacity_projection_position", "Last position", ["projection"], registry=REGISTRY)
PROJECTION_LAG_EVENTS = Gauge("sagacity_projection_lag_events", "Events behind", ["projection"], registry=REGISTRY)
PROJECTION_LAG_SECONDS = Gauge(
    "sagacity_projection_lag_seconds", "Age of the oldest event behind", ["projection"], registry=REGISTRY
)
LOG_POSITION = Gauge("sagacity_log_position", "Last position of the log", registry=REGISTRY)
SUBSCRIBERS = Gauge("sagacity_live_subscribers", "Open live subscriptions", registry=REGISTRY)
SAGAS = Gauge("sagacity_sagas", "Sagas by status", ["status"], registry=REGISTRY)

INFERENCE_SECONDS = Histogram(
    "ai_model_inference_duration_seconds",
    "From a request for predictions to its recorded answer",
    ["model", "version"],
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2, 3, 10),
    registry=REGISTRY,
)
PREDICTIONS = Counter("ai_model_predictions", "Rows that were predicted", ["model", "version"], registry=REGISTRY)
CONFIDENCE = Histogram(
    "ai_model_prediction_confidence",
    "Confidence of each predicted row",
    ["model", "version"],
    buckets=tuple(tenth / 10 for tenth in range(1, 11)),
    registry=REGISTRY,
)
ACCURACY = Gauge(
    "ai_model_accuracy",
    "Share of right answers of the version in use, on its holdout and in production",
    ["model", "version", "environment"],
    registry=REGISTRY,
)
DATA_QUALITY = Gauge(
    "ai_data_quality_score",
    "Share of cells that are there, of what the versions in use were trained on",
    ["dataset"],
    registry=REGISTRY,
)

RECORDS = Gauge("sagacity_records", "Records that were received, by status", ["platform", "status"], registry=REGISTRY)
RECORDS_OF_DOMAIN = Gauge("sagacity_records_of_domain", "Records by domain", ["domain"], registry=REGISTRY)
COMPLETENESS = Gauge(
    "sagacity_record_completeness", "Mean share of what is required that is there", ["domain"], registry=REGISTRY
)
PROCESSING_SECONDS = Gauge(
    "sagacity_record_processing_seconds",
    "From received to scored, of the records of the last hour",
    ["quantile"],
    registry=REGISTRY,
)
FOLLOW_UPS_OPEN = Gauge("sagacity_follow_ups_open", "Questions that wait for an answer", registry=REGISTRY)
ANSWER_RATE = Gauge(
    "sagacity_follow_up_answer_rate",
    "Of the questions that are over, the share that was answered in time; NaN while none is over",
    registry=REGISTRY,
)

_counters: dict[tuple[str, ...], Any] = {}
_predictions: dict[tuple[str, str], tuple[Histogram, Counter, Histogram]] = {}


def count_command(type: str, outcome: str) -> None:
    _count(COMMANDS, type, outcome)


def count_request(method: str, route: str, status: int) -> None:
    _count(HTTP, method, route, str(status))


def count_predictions(model: str, version: str, seconds: float, confidences: Sequence[float]) -> None:
    children = _predictions.get((model, version))
    if children is None:
        of = model, version
        children = INFERENCE_SECONDS.labels(*of), PREDICTIONS.labels(*of), CONFIDENCE.labels(*of)
        _predictions[of] = children
    duration, count, confidence = children
    duration.observe(seconds)
    count.inc(len(confidences))
    for each in confidences:
        confidence.observe(each)


def _count(counter: Counter, *labels: str) -> None:
    """`labels()` takes a lock and makes a tuple each time; the children are as few as the routes."""
    child = _counters.get(labels)
    if child is None:
        child = _counters[labels] = counter.labels(*labels)
    child.inc()
