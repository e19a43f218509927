"""When a model in use is to be trained again, and the command that asks for it. It has the same id whoever gives it.

While a training is under way nothing is asked for. Drift that came meanwhile asks when it has ended and the version is
still in use: once, as the model's record says which drift trainings were begun by.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final, NamedTuple

from domain import drift, model, monitor
from domain.model_policy import Source
from models.observe.following import Followed

SOURCES: Final[dict[drift.Kind, Source]] = {"errors": "errors", "feature": "features", "prediction": "predictions"}


class Asked(NamedTuple):
    id: str
    command: model.AskForTraining


def wanted(model_id: str, followed: Followed, judged: monitor.Judged | None, moment: datetime) -> tuple[Asked, ...]:
    """After drift, if there is any, and by schedule."""
    drifted = _after_drift(model_id, followed, judged) if judged is not None else None
    at = due(followed)
    scheduled = _by_schedule(model_id, followed) if at is not None and at <= moment else None
    return tuple(each for each in (drifted, scheduled) if each is not None)


def asks(followed: Followed, judged: monitor.Judged) -> bool:
    """Not where the model's policy does not say so, or the version is in use no more."""
    known = followed.known
    if known is None or known.active != judged.version:
        return False
    return SOURCES[judged.verdict.kind] in known.policy.monitoring.retrain_on


def later(judged: monitor.Judged, before: monitor.Judged | None) -> bool:
    """In another observation than the verdict before: of one observation, the first one asks for all."""
    if before is None:
        return True
    of, of_before = ((each.observation, each.verdict.kind == "errors") for each in (judged, before))
    return judged.number > before.number and of != of_before


def _after_drift(model_id: str, followed: Followed, judged: monitor.Judged) -> Asked | None:
    """The version that it asks for is part of the id: when that number was taken by the training of somebody else, of
    which this process had not heard, it is asked for again after that."""
    known, name = followed.known, f"drift-{model_id}-{judged.number}-"
    if known is None or known.training is not None or not asks(followed, judged):
        return None
    if any(command.startswith(name) for command in followed.begun_by):
        return None
    return Asked(name + known.next_version, model.AskForTraining("drift", in_words(judged.verdict)))


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
    return Asked(f"schedule-{model_id}-{rested.version}", model.AskForTraining("schedule", reason))


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
