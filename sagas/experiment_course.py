"""What a retraining saga knows from its beginning, and which steps, effects and undos follow from it."""

from __future__ import annotations

from typing import Final, NamedTuple

import msgspec

from domain import experiment, model, saga
from domain.experiment import Step
from domain.model_policy import ModelPolicy
from sagas.definition import Told

_ATTEMPTS: Final = 3
"""A step of work may take so many times the limit of the work itself: it begins again after a crash."""

_LONGEST_REASON: Final = 1_000


class Retraining(msgspec.Struct, frozen=True):
    """The input of the saga."""

    experiment_id: str
    requested: experiment.Requested

    @property
    def policy(self) -> ModelPolicy:
        return self.requested.policy

    @property
    def steps(self) -> tuple[Step, ...]:
        """Without a version in use there is nothing to compare with."""
        if self.requested.champion is None:
            return ("assemble", "train", "evaluate", "promote")
        if self.policy.gate.by == "holdout":
            return ("assemble", "train", "evaluate", "promote", "watch")
        return ("assemble", "train", "evaluate", "shadow", "promote", "watch")

    def key(self, step: Step) -> str:
        """Of the step's effect."""
        return f"{self.experiment_id}-{step}"

    def timeout(self, step: Step) -> float:
        """In seconds; 0: the step is over as soon as it begins."""
        match step:
            case "assemble":
                return self.policy.training.patience
            case "train" | "evaluate":
                return _ATTEMPTS * self.policy.training.timeout
            case "shadow":
                return self.policy.gate.timeout
            case "promote":
                return 0.0
            case "watch":
                return self.policy.watch.timeout

    def tell_experiment(self, command: experiment.Command) -> Told:
        return Told(experiment.experiment.category, self.experiment_id, command)

    def tell_model(self, command: model.Command) -> Told:
        return Told(model.model.category, self.requested.model_id, command)


def retraining_of(state: saga.Running) -> Retraining:
    return msgspec.json.decode(state.input, type=Retraining)


class Kind(NamedTuple):
    """Of an effect."""

    operation: str
    undo: str


EFFECTS: Final[dict[Step, Kind]] = {
    "train": Kind("train", "forget"),
    "shadow": Kind("compare", "end_comparison"),
    "promote": Kind("promote", "restore"),
    "watch": Kind("compare", "end_comparison"),
}
"""Of the steps that have one. What a training leaves is an artifact under its hash, to which nobody refers."""


def planned(retraining: Retraining, step: Step) -> saga.EffectPlanned:
    """Raises KeyError for a step without an effect."""
    kind = EFFECTS[step]
    return saga.EffectPlanned(retraining.key(step), step, kind.operation, kind.undo)


def undoing(retraining: Retraining, effect: saga.Effect, reason: str) -> tuple[Told, ...]:
    """What the model is told so that the effect is gone."""
    requested = retraining.requested
    match effect.undo:
        case "end_comparison":
            return (retraining.tell_model(model.EndComparison(retraining.experiment_id)),)
        case "restore":
            champion = requested.champion.version if requested.champion else None
            restore = model.RestoreChampion(retraining.experiment_id, requested.version, champion, clipped(reason))
            return (retraining.tell_model(restore),)
        case _:
            return ()


def clipped(reason: str) -> str:
    """As long as a reason may be."""
    return reason if len(reason) <= _LONGEST_REASON else f"{reason[: _LONGEST_REASON - 1]}…"
