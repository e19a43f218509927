"""When a model in use is to be trained again, and the command that asks for it. It has the same id whoever gives it."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final, NamedTuple

from domain import drift, model, monitor
from domain.model_policy import Source
from models.observe.following import Followed

SOURCES: Final[dict[drift.Kind, Source]] = {"errors": "errors", "feature": "features", "prediction": "predictions"}


class Asked(NamedTuple):
    id: str
    command: model.Retrain


def wanted(model_id: str, followed: Followed, judged: monitor.Judged | None, moment: datetime) -> tuple[Asked, ...]:
    """After drift, if there is any, and by schedule."""
    drifted = after_drift(model_id, followed, judged) if judged is not None else None
    at = due(followed)
    scheduled = _by_schedule(model_id, followed) if at is not None and at <= moment else None
    return tuple(each for each in (drifted, scheduled) if each is not None)


def after_drift(model_id: str, followed: Followed, judged: monitor.Judged) -> Asked | None:
    """None where the model's policy does not ask for it, or the version is in use no more."""
    known = followed.known
    if known is None or known.active != judged.version:
        return None
    if SOURCES[judged.verdict.kind] not in known.policy.monitoring.retrain_on:
        return None
    return Asked(f"drift-{model_id}-{judged.number}", model.Retrain(reason=in_words(judged.verdict), trigger="drift"))


def due(followed: Followed) -> datetime | None:
    """When the schedule asks for a training; None while there is no schedule, or a training is under way."""
    known, rested = followed.known, followed.rested
    if known is None or rested is None or known.training is not None or known.policy.retrain_every is None:
        return None
    return rested.time + timedelta(seconds=known.policy.retrain_every)


def _by_schedule(model_id: str, followed: Followed) -> Asked | None:
    known, rested = followed.known, followed.rested
    if known is None or rested is None:
        return None
    reason = f"{known.policy.retrain_every:g} s after {rested.time:%Y-%m-%d %H:%M:%S} UTC"
    return Asked(f"schedule-{model_id}-{rested.version}", model.Retrain(reason=reason, trigger="schedule"))


def in_words(verdict: drift.Verdict) -> str:
    match verdict.kind:
        case "errors":
            rows, wrong = (int(verdict.details[name]) for name in ("rows", "wrong"))
            home = verdict.details["holdout_wrong"] / verdict.details["holdout_rows"]
            return f"errors: {wrong} of the last {rows} labelled rows wrong, {home:.1%} of the holdout were"
        case "feature" | "prediction":
            of = f"the feature {verdict.feature!r}" if verdict.kind == "feature" else "the predictions"
            figure = f"{verdict.statistic:.3g} beyond {verdict.threshold:.3g}"
            return f"drift of {of} at row {verdict.at} ({verdict.method}: {figure})"
