"""A model: its versions, which of them is in use, and which one it is being compared with.

People register, configure, retrain, promote and roll back; the retraining saga reports the rest. One training at a
time; a version's number is given when its training begins and never again.
"""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, Struct, structs

from domain.decider import ID, Decider, Refusal
from domain.model_policy import ModelPolicy
from domain.pipeline import ColumnName, Feature, Pipeline, Sha256

Id = Annotated[str, Meta(pattern=ID)]
Name = Annotated[str, Meta(min_length=1, max_length=120)]
Reason = Annotated[str, Meta(max_length=1000)]
VersionNumber = Annotated[str, Meta(pattern=r"^[1-9][0-9]{0,8}$")]
Trigger = Literal["command", "drift", "schedule"]
"""What asked for a training."""
Kind = Literal["shadow", "watch"]


class Register(Struct, frozen=True, forbid_unknown_fields=True, tag="model.register"):
    """A classifier of `target` by `features`. It has no version before the first training."""

    name: Name
    features: Annotated[tuple[Feature, ...], Meta(min_length=1, max_length=1_000)]
    target: ColumnName
    organization_id: Id | None = None
    description: Annotated[str, Meta(max_length=4000)] = ""
    pipeline: Pipeline = Pipeline()
    policy: ModelPolicy = ModelPolicy()


class Configure(Struct, frozen=True, forbid_unknown_fields=True, tag="model.configure"):
    """Replaces what is given; trainings under way keep what they began with."""

    pipeline: Pipeline | None = None
    policy: ModelPolicy | None = None


class Retrain(Struct, frozen=True, forbid_unknown_fields=True, tag="model.retrain"):
    """Without a dataset it is assembled from the latest labelled predictions. The experiment is called
    `<model>-<version>`."""

    dataset_id: Id | None = None
    reason: Reason = ""
    pipeline: Pipeline | None = None
    seed: Annotated[int, Meta(ge=0, le=2**31 - 1)] = 0
    trigger: Literal["command"] = "command"


class AskForTraining(Struct, frozen=True, forbid_unknown_fields=True, tag="model.ask_for_training"):
    """`Retrain`, as the observer gives it: nobody else can say that it was drift, or the schedule."""

    trigger: Literal["drift", "schedule"]
    reason: Reason


class Promote(Struct, frozen=True, forbid_unknown_fields=True, tag="model.promote"):
    """By hand: no evidence is asked for, who did it is on the record."""

    version: VersionNumber
    reason: Reason = ""


class RollBack(Struct, frozen=True, forbid_unknown_fields=True, tag="model.roll_back"):
    """To the version that was in use before, or to another one that once was. Always possible, also during a
    training: its experiment ends with this, as what its version was compared with is not in use any more, or it was
    that version itself."""

    reason: Reason = ""
    version: VersionNumber | None = None


class ReserveTraining(Struct, frozen=True, forbid_unknown_fields=True, tag="model.reserve_training"):
    experiment_id: Id
    version: VersionNumber


class ReleaseTraining(Struct, frozen=True, forbid_unknown_fields=True, tag="model.release_training"):
    """The experiment has ended, however. Refused when `version` is given and another one is in use: an experiment
    whose version was rolled back in the last moment has not ended promoted."""

    experiment_id: Id
    version: VersionNumber | None = None


class Holdout(Struct, frozen=True):
    """Rows that the model had not seen, and how many of them it got wrong."""

    rows: int
    wrong: int


class AddVersion(Struct, frozen=True, forbid_unknown_fields=True, tag="model.add_version"):
    version: VersionNumber
    experiment_id: Id
    artifact: Sha256
    dataset_id: Id
    content: Sha256
    training_samples: int
    classes: tuple[str, ...]
    metrics: dict[str, float]
    holdout: Holdout


class StartComparison(Struct, frozen=True, forbid_unknown_fields=True, tag="model.start_comparison"):
    """The version `other` answers every labelled request in the shadow of the one in use."""

    experiment_id: Id
    kind: Kind
    other: VersionNumber


class EndComparison(Struct, frozen=True, forbid_unknown_fields=True, tag="model.end_comparison"):
    experiment_id: Id


class PromoteChallenger(Struct, frozen=True, forbid_unknown_fields=True, tag="model.promote_challenger"):
    """Refused when the version it was compared with is not in use any more."""

    experiment_id: Id
    version: VersionNumber
    champion: VersionNumber | None
    reason: Reason


class RestoreChampion(Struct, frozen=True, forbid_unknown_fields=True, tag="model.restore_champion"):
    """Nothing happens when `version` is not in use any more."""

    experiment_id: Id
    version: VersionNumber
    champion: VersionNumber | None
    reason: Reason


class DiscardVersion(Struct, frozen=True, forbid_unknown_fields=True, tag="model.discard_version"):
    """Nothing happens when it is in use."""

    version: VersionNumber
    reason: Reason


# Event tags are storage: never rename one that has been written.
class Registered(Struct, frozen=True, tag="model.registered"):
    name: str
    features: tuple[Feature, ...]
    target: str
    organization_id: str | None
    description: str
    pipeline: Pipeline
    policy: ModelPolicy


class Configured(Struct, frozen=True, tag="model.configured"):
    pipeline: Pipeline
    policy: ModelPolicy


class TrainingReserved(Struct, frozen=True, tag="model.training_reserved"):
    experiment_id: str
    version: str


class TrainingReleased(Struct, frozen=True, tag="model.training_released"):
    experiment_id: str


class VersionAdded(Struct, frozen=True, tag="model.version_added"):
    """`artifact` and `content` (of the dataset) are SHA-256 of what is stored; `metrics` are those on the holdout."""

    version: str
    experiment_id: str
    artifact: str
    dataset_id: str
    content: str
    training_samples: int
    classes: tuple[str, ...]
    metrics: dict[str, float]
    holdout: Holdout


class ComparisonStarted(Struct, frozen=True, tag="model.comparison_started"):
    experiment_id: str
    kind: Kind
    other: str
    active: str


class ComparisonEnded(Struct, frozen=True, tag="model.comparison_ended"):
    experiment_id: str


class Promoted(Struct, frozen=True, tag="model.promoted"):
    """`experiment_id` is that of the saga that did it, None for a person."""

    version: str
    previous: str | None
    experiment_id: str | None
    reason: str


class RolledBack(Struct, frozen=True, tag="model.rolled_back"):
    """`version` is in use again, or none is; `experiment_id` is the one that did it or that this ends, if any."""

    version: str | None
    previous: str
    experiment_id: str | None
    reason: str


class VersionDiscarded(Struct, frozen=True, tag="model.version_discarded"):
    version: str
    reason: str


class Version(Struct, frozen=True):
    experiment_id: str
    artifact: str
    dataset_id: str
    content: str
    classes: tuple[str, ...]
    holdout: Holdout
    discarded: bool = False


class Comparison(Struct, frozen=True):
    experiment_id: str
    kind: Kind
    other: str


class Unknown(Struct, frozen=True, tag="unknown"):
    pass


class Known(Struct, frozen=True, tag="known"):
    """`history` are the versions that were in use before the active one, oldest first; `training` is the experiment
    under way, `reserved` the highest version number given."""

    name: str
    features: tuple[Feature, ...]
    target: str
    pipeline: Pipeline
    policy: ModelPolicy
    versions: dict[str, Version] = {}
    active: str | None = None
    history: tuple[str, ...] = ()
    reserved: int = 0
    training: str | None = None
    comparison: Comparison | None = None

    @property
    def next_version(self) -> str:
        return str(self.reserved + 1)


Command = (
    Register
    | Configure
    | Retrain
    | AskForTraining
    | Promote
    | RollBack
    | ReserveTraining
    | ReleaseTraining
    | AddVersion
    | StartComparison
    | EndComparison
    | PromoteChallenger
    | RestoreChampion
    | DiscardVersion
)
Event = (
    Registered
    | Configured
    | TrainingReserved
    | TrainingReleased
    | VersionAdded
    | ComparisonStarted
    | ComparisonEnded
    | Promoted
    | RolledBack
    | VersionDiscarded
)
State = Unknown | Known


def decide(command: Command, state: State) -> tuple[Event, ...] | Refusal:
    match command, state:
        case Register(), Unknown():
            return _register(command)
        case Register(), Known(name):
            return Refusal("model_already_registered", f"this id belongs to the model {name!r}")
        case _, Unknown():
            return Refusal("model_not_found", "there is no such model")
        case Configure(pipeline, policy), Known():
            changed = pipeline or state.pipeline, policy or state.policy
            return () if changed == (state.pipeline, state.policy) else (Configured(*changed),)
        case ((Retrain() | AskForTraining()), Known()):
            return Refusal("training_not_resolved", "a training begins with an experiment")
        case ((Promote() | RollBack()), Known()):
            return _by_hand(command, state)
        case _, Known():
            return _reported(command, state)


def _register(command: Register) -> tuple[Event, ...] | Refusal:
    names = [feature.name for feature in command.features]
    twice = sorted({name for name in names if names.count(name) > 1})
    faults = [f"the feature {name!r} is named twice" for name in twice]
    faults += [f"a column cannot be called {name!r}" for name in (*names, command.target) if _is_taken(name)]
    if command.target in names:
        faults.append(f"{command.target!r} is both a feature and the target")
    if faults:
        return Refusal("features_invalid", "; ".join(faults))
    return (
        Registered(
            command.name,
            command.features,
            command.target,
            command.organization_id,
            command.description,
            command.pipeline,
            command.policy,
        ),
    )


def _is_taken(name: str) -> bool:
    """Of columns that are recorded beside those of the model."""
    return name == "prediction" or name.startswith("__")


def _by_hand(command: Promote | RollBack, state: Known) -> tuple[Event, ...] | Refusal:
    match command:
        case Promote(version, reason):
            if state.training is not None:
                return Refusal("training_in_progress", f"cancel the experiment {state.training} first")
            return _promote(version, reason, state)
        case RollBack(reason, version):
            return _roll_back(version, reason, state)


def _promote(version: str, reason: str, state: Known) -> tuple[Event, ...] | Refusal:
    if version not in state.versions:
        return Refusal("version_not_found", f"the model has no version {version}")
    return () if version == state.active else (Promoted(version, state.active, None, reason),)


def _roll_back(version: str | None, reason: str, state: Known) -> tuple[Event, ...] | Refusal:
    if state.active is None:
        return Refusal("no_active_version", "no version is in use")
    if not state.history:
        return Refusal("nothing_to_roll_back_to", "no other version was in use before")
    if version == state.active:
        return ()
    if version is not None and version not in state.history:
        return Refusal("version_never_active", f"version {version} was never in use: promote it instead")
    ended = (ComparisonEnded(state.comparison.experiment_id),) if state.comparison else ()
    return (RolledBack(version or state.history[-1], state.active, state.training, reason), *ended)


Reported = (
    ReserveTraining
    | ReleaseTraining
    | AddVersion
    | StartComparison
    | EndComparison
    | PromoteChallenger
    | RestoreChampion
    | DiscardVersion
)


def _reported(command: Reported, state: Known) -> tuple[Event, ...] | Refusal:
    """What an experiment does; told twice, it happens once."""
    match command:
        case ReserveTraining(experiment_id, version):
            return _reserve(experiment_id, version, state)
        case ReleaseTraining(experiment_id, version):
            return _release(experiment_id, version, state)
        case AddVersion(version):
            return () if version in state.versions else (VersionAdded(*structs.astuple(command)),)
        case StartComparison(experiment_id, kind, other):
            return _compare(experiment_id, kind, other, state)
        case EndComparison(experiment_id):
            compared = state.comparison
            return (ComparisonEnded(experiment_id),) if compared and compared.experiment_id == experiment_id else ()
        case PromoteChallenger(experiment_id, version, champion, reason):
            if state.active == version:
                return ()
            return _in_use_is(champion, state) or (Promoted(version, champion, experiment_id, reason),)
        case RestoreChampion(experiment_id, version, champion, reason):
            return (RolledBack(champion, version, experiment_id, reason),) if state.active == version else ()
        case DiscardVersion(version, reason):
            known = state.versions.get(version)
            done = known is None or known.discarded or version == state.active
            return () if done else (VersionDiscarded(version, reason),)


def _reserve(experiment_id: str, version: str, state: Known) -> tuple[Event, ...] | Refusal:
    if state.training is not None:
        return Refusal("training_in_progress", f"wait for the experiment {state.training}, or cancel it first")
    if version != state.next_version:
        return Refusal("version_taken", f"the next version is {state.next_version}")
    return (TrainingReserved(experiment_id, version),)


def _release(experiment_id: str, version: str | None, state: Known) -> tuple[Event, ...] | Refusal:
    if state.training != experiment_id:
        return ()
    changed = _in_use_is(version, state) if version is not None else None
    return changed or (TrainingReleased(experiment_id),)


def _in_use_is(version: str | None, state: Known) -> Refusal | None:
    if state.active == version:
        return None
    return Refusal("champion_changed", f"version {state.active} is in use, not {version}")


def _compare(experiment_id: str, kind: Kind, other: str, state: Known) -> tuple[Event, ...] | Refusal:
    if state.comparison is not None and state.comparison.experiment_id == experiment_id:
        return () if state.comparison.kind == kind else Refusal("comparison_in_progress", "end the other one first")
    if state.active is None or state.active == other:
        return Refusal("champion_changed", "there is no other version in use to compare with")
    return (ComparisonStarted(experiment_id, kind, other, state.active),)


def evolve(state: State, event: Event) -> State:
    match event, state:
        case Registered(name, features, target, _, _, pipeline, policy), _:
            return Known(name, features, target, pipeline, policy)
        case _, Unknown():
            return state
        case Configured(pipeline, policy), Known():
            return structs.replace(state, pipeline=pipeline, policy=policy)
        case TrainingReserved(experiment_id, version), Known():
            return structs.replace(state, training=experiment_id, reserved=int(version))
        case TrainingReleased(), Known():
            return structs.replace(state, training=None)
        case VersionAdded(version, experiment_id, artifact, dataset_id, content, _, classes, _, holdout), Known():
            added = Version(experiment_id, artifact, dataset_id, content, classes, holdout)
            return structs.replace(state, versions={**state.versions, version: added})
        case ComparisonStarted(experiment_id, kind, other), Known():
            return structs.replace(state, comparison=Comparison(experiment_id, kind, other))
        case ComparisonEnded(), Known():
            return structs.replace(state, comparison=None)
        case Promoted(version, previous), Known():
            earlier = tuple(each for each in state.history if each != version)
            return structs.replace(state, active=version, history=(*earlier, *((previous,) if previous else ())))
        case RolledBack(version), Known():
            return structs.replace(state, active=version, history=_before(state.history, version))
        case VersionDiscarded(version), Known():
            discarded = structs.replace(state.versions[version], discarded=True)
            return structs.replace(state, versions={**state.versions, version: discarded})


def _before(history: tuple[str, ...], version: str | None) -> tuple[str, ...]:
    return history[: history.index(version)] if version in history else ()


model: Decider[Command, State, Event] = Decider(
    "model",
    Command,
    Event,
    State,
    Unknown(),
    decide,
    evolve,
    internal=(
        AskForTraining,
        ReserveTraining,
        ReleaseTraining,
        AddVersion,
        StartComparison,
        EndComparison,
        PromoteChallenger,
        RestoreChampion,
        DiscardVersion,
    ),
    opening=(Register,),
)
