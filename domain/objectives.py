"""What the platform and its models are to reach; where the documents it was made from contradict each other, the
strictest counts.

The decision is docs/decisions/0024-contradicting-objectives.md; rows are those of docs/requirements.md.
"""

from __future__ import annotations

from typing import Final, Literal

from msgspec import Struct

Unit = Literal["seconds", "requests/s", "share", "messages"]
Statistic = Literal["mean", "p50", "p95", "value"]


class Asked(Struct, frozen=True):
    """One document's value, and where it says so."""

    value: float
    rows: tuple[str, ...]
    statistic: Statistic = "value"


class Objective(Struct, frozen=True):
    """`asked`: of each statistic the strictest first, which is the one that counts. `measured_by` are metrics of
    Prometheus, and the modules that measure or tell it otherwise; where there are none, `unmeasured` says why."""

    name: str
    unit: Unit
    better: Literal["lower", "higher"]
    asked: tuple[Asked, ...]
    measured_by: tuple[str, ...] = ()
    unmeasured: str = ""

    @property
    def in_force(self) -> dict[Statistic, float]:
        """The strictest value of each statistic."""
        return {each.statistic: each.value for each in reversed(self.asked)}


class Choice(Struct, frozen=True):
    """Where documents name different parts for one purpose: what it is, and what it is not."""

    name: str
    chosen: str
    instead_of: tuple[str, ...]
    rows: tuple[str, ...]
    why: str


_NO_HOST_METRICS: Final = "no role tells its share of the host yet: planned with observability"
_NO_CACHE: Final = "there is no cache: read models follow the log by milliseconds"

OBJECTIVES: Final = (
    Objective(
        "latency of the API",
        "seconds",
        "lower",
        (Asked(0.1, ("C56",), "mean"), Asked(0.5, ("B39",), "p95")),
        ("sagacity_command_seconds", "benchmarks/commands.py"),
    ),
    Objective(
        "requests of the API",
        "requests/s",
        "higher",
        (Asked(1_000, ("B41",)), Asked(1_000 / 60, ("C57",))),
        ("sagacity_http_requests", "sagacity_commands", "benchmarks/commands.py"),
    ),
    Objective(
        "duration of a prediction",
        "seconds",
        "lower",
        (Asked(1.0, ("B48",), "p50"), Asked(2.0, ("B40",), "p95"), Asked(3.0, ("B48",), "p95")),
        ("ai_model_inference_duration_seconds",),
    ),
    Objective(
        "accuracy of the model in use",
        "share",
        "higher",
        (Asked(0.9, ("B45", "C60")), Asked(0.85, ("B49",))),
        ("ai_model_accuracy",),
    ),
    Objective(
        "quality of the data that models in use were trained on",
        "share",
        "higher",
        (Asked(0.9, ("B50",)),),
        ("ai_data_quality_score",),
    ),
    Objective(
        "confidence of a prediction",
        "share",
        "higher",
        (Asked(0.8, ("C62",), "mean"),),
        ("ai_model_prediction_confidence",),
    ),
    Objective(
        "false alarms of drift, by month",
        "share",
        "lower",
        (Asked(0.05, ("B46",)),),
        ("benchmarks/drift_months.py",),
    ),
    Objective(
        "duration of a training",
        "seconds",
        "lower",
        (Asked(30, ("C61",)),),
        ("projections/model_metrics.py",),
    ),
    Objective(
        "alarm: use of the CPU",
        "share",
        "lower",
        (Asked(0.7, ("C64", "E105")), Asked(0.8, ("B51", "D99"))),
        unmeasured=_NO_HOST_METRICS,
    ),
    Objective(
        "alarm: use of the memory",
        "share",
        "lower",
        (Asked(0.7, ("E105",)), Asked(0.8, ("C65",)), Asked(0.9, ("B52",))),
        unmeasured=_NO_HOST_METRICS,
    ),
    Objective(
        "alarm: events that wait",
        "messages",
        "lower",
        (Asked(100, ("E106",)), Asked(1_000, ("D100",))),
        ("sagacity_projection_lag_events",),
    ),
    Objective(
        "age of what the first cache gives",
        "seconds",
        "lower",
        (Asked(60, ("D77",)), Asked(900, ("E50",))),
        unmeasured=_NO_CACHE,
    ),
    Objective(
        "age of what the second cache gives",
        "seconds",
        "lower",
        (Asked(900, ("D78",)), Asked(3_600, ("E51",))),
        unmeasured=_NO_CACHE,
    ),
    Objective(
        "age of what the third cache gives",
        "seconds",
        "lower",
        (Asked(3_600, ("D79",)), Asked(86_400, ("E52",))),
        unmeasured=_NO_CACHE,
    ),
)

CHOICES: Final = (
    Choice(
        "secrets",
        "environment of the process, later a central store",
        ("a file in the repository",),
        ("C51", "D64", "E29", "E76"),
        "nothing reads them from elsewhere yet; Vault is planned with security",
    ),
    Choice(
        "database of the read models",
        "PostgreSQL",
        ("SQLite", "Cloudflare D1"),
        ("C15", "D25", "D26", "E27"),
        "several processes on several machines write and read them at once",
    ),
    Choice(
        "transport of events",
        "NATS JetStream",
        ("Redis Streams",),
        ("D27", "E28", "E38"),
        "it is the system of record, with a check of versions on every write",
    ),
)
