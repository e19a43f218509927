"""What people decide about a model once: how it is trained, judged, watched and recorded. Times are in seconds."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, Struct

from domain.gate import Labels, Odds

Seconds = Annotated[float, Meta(gt=0, le=89 * 86_400)]
"""The server of the timers forgets those that are set for later than 90 days."""
Rows = Annotated[int, Meta(ge=10, le=10_000_000)]
Source = Literal["errors", "features", "predictions"]


class Training(Struct, frozen=True, forbid_unknown_fields=True):
    """A retraining after drift waits for `fresh` labelled rows since the alarm and takes at most `rows` of the latest.

    `holdout` is the part that the model does not see and is evaluated on: chosen by chance (and by class), or the
    latest rows.
    """

    rows: Rows = 1_000
    fresh: Rows = 500
    holdout: Annotated[float, Meta(ge=0.05, le=0.8)] = 0.3
    split: Literal["random", "time"] = "random"
    timeout: Seconds = 600.0
    patience: Seconds = 7 * 86_400.0
    """For fresh rows."""


class Gate(Struct, frozen=True, forbid_unknown_fields=True):
    """A challenger is promoted only when the evidence that it is better reaches `odds` : 1.

    `by`: on live traffic, in the shadow of the model in use, or on the rows held out of its training. It is discarded
    when it is worse, or still undecided after `labels` rows or `timeout`. `min_accuracy` is asked of it in any case,
    on the holdout; and with `beat_majority` that it is right more often than the most common class would be. Where
    nearly all rows are of one class, even a useful version may not be.
    """

    by: Literal["shadow", "holdout"] = "shadow"
    odds: Odds = 20.0
    labels: Labels = 5_000
    timeout: Seconds = 7 * 86_400.0
    min_accuracy: Annotated[float, Meta(ge=0, le=1)] = 0.0
    beat_majority: bool = True


class Watch(Struct, frozen=True, forbid_unknown_fields=True):
    """After a promotion the previous version runs in the shadow: it comes back when it is proven better."""

    odds: Odds = 20.0
    labels: Labels = 1_000
    timeout: Seconds = 7 * 86_400.0


class Budget(Struct, frozen=True, forbid_unknown_fields=True):
    """At most so many false alarms in so many days, of everything that is monitored of the model together."""

    false_alarms: Annotated[float, Meta(gt=0, le=1_000)] = 1.0
    days: Annotated[float, Meta(gt=0, le=3_660)] = 30.0


class Monitoring(Struct, frozen=True, forbid_unknown_fields=True):
    """`expected_per_day` predictions: the budget is one of time, detectors count samples. `window`: rows that the
    distributions are compared by. `retrain_on`: drift of what leads to a retraining."""

    budget: Budget = Budget()
    expected_per_day: Annotated[int, Meta(ge=1, le=1_000_000_000)] = 1_000
    window: Annotated[int, Meta(ge=50, le=1_000_000)] = 500
    retrain_on: tuple[Source, ...] = ("errors",)


class ModelPolicy(Struct, frozen=True, forbid_unknown_fields=True):
    """`retrain_every`: also without drift. `record`: the share of predictions that is recorded."""

    training: Training = Training()
    gate: Gate = Gate()
    watch: Watch = Watch()
    monitoring: Monitoring = Monitoring()
    retrain_every: Seconds | None = None
    record: Annotated[float, Meta(ge=0, le=1)] = 1.0
