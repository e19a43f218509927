"""An experiment is one training of a model, from what asked for it to what became of its version.

It is opened by `model.retrain`; the retraining saga carries it out and reports every step. It ends promoted,
discarded (the version is not better, or could not be made) or rolled back (it was promoted, and worse).
"""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, Struct, structs

from domain import gate
from domain.decider import ID, Decider, Refusal
from domain.model import Holdout, Trigger, VersionNumber
from domain.model_policy import ModelPolicy
from domain.pipeline import Feature, Pipeline

Id = Annotated[str, Meta(pattern=ID)]
Reason = Annotated[str, Meta(max_length=1000)]
Step = Literal["assemble", "train", "evaluate", "shadow", "promote", "watch"]
Outcome = Literal["promoted", "discarded", "rolled_back"]


class Dataset(Struct, frozen=True):
    """What was trained on: `content` is the SHA-256 of the stored Parquet file."""

    dataset_id: str
    content: str
    samples: int


class Champion(Struct, frozen=True):
    """The version in use when the experiment began."""

    version: str
    artifact: str


class Open(Struct, frozen=True, forbid_unknown_fields=True, tag="experiment.open"):
    """All that the experiment will ever need, looked up once. `since` is the number of outcomes of the model that
    were known when it was asked for: only later ones count as fresh (after drift)."""

    model_id: Id
    version: VersionNumber
    trigger: Trigger
    reason: Reason
    features: tuple[Feature, ...]
    target: str
    pipeline: Pipeline
    seed: int
    policy: ModelPolicy
    dataset: Dataset | None
    champion: Champion | None
    since: int


class Cancel(Struct, frozen=True, forbid_unknown_fields=True, tag="experiment.cancel"):
    """The version is discarded; if it was promoted already, the previous one comes back."""

    reason: Reason = ""


class StartStep(Struct, frozen=True, forbid_unknown_fields=True, tag="experiment.start_step"):
    step: Step


class RecordDataset(Struct, frozen=True, forbid_unknown_fields=True, tag="experiment.record_dataset"):
    dataset: Dataset


class Trained(Struct, frozen=True, tag="experiment.trained"):
    """With the data's content, pipeline, seed and libraries the same artifact can be made again, byte for byte."""

    artifact: str
    artifact_bytes: int
    classes: tuple[str, ...]
    training_samples: int
    holdout_samples: int
    duration_seconds: float
    libraries: dict[str, str]


class RecordTraining(Struct, frozen=True, forbid_unknown_fields=True, tag="experiment.record_training"):
    trained: Trained


class Evaluated(Struct, frozen=True, tag="experiment.evaluated"):
    """`metrics` on the holdout: accuracy, balanced_accuracy, f1, log_loss, and `majority`, the accuracy of always
    naming the most common class. `champion` are those of the version in use, on the same rows, `pairs` which of the
    two was right on each."""

    metrics: dict[str, float]
    holdout: Holdout
    champion: dict[str, float] = {}
    pairs: gate.Pairs = gate.Pairs()


class RecordEvaluation(Struct, frozen=True, forbid_unknown_fields=True, tag="experiment.record_evaluation"):
    evaluated: Evaluated


class Decide(Struct, frozen=True, forbid_unknown_fields=True, tag="experiment.decide"):
    """What the gate says."""

    decision: Literal["promote", "discard"]
    reason: Reason
    judgement: gate.Judgement | None = None


class ReportPromoted(Struct, frozen=True, forbid_unknown_fields=True, tag="experiment.report_promoted"):
    pass


class StartRollback(Struct, frozen=True, forbid_unknown_fields=True, tag="experiment.start_rollback"):
    reason: Reason


class Conclude(Struct, frozen=True, forbid_unknown_fields=True, tag="experiment.conclude"):
    outcome: Outcome
    reason: Reason


# Event tags are storage: never rename one that has been written.
class Requested(Struct, frozen=True, tag="experiment.requested"):
    model_id: str
    version: str
    trigger: Trigger
    reason: str
    features: tuple[Feature, ...]
    target: str
    pipeline: Pipeline
    seed: int
    policy: ModelPolicy
    dataset: Dataset | None
    champion: Champion | None
    since: int


class CancellationRequested(Struct, frozen=True, tag="experiment.cancellation_requested"):
    reason: str


class StepStarted(Struct, frozen=True, tag="experiment.step_started"):
    step: Step


class DatasetAssembled(Struct, frozen=True, tag="experiment.dataset_assembled"):
    dataset: Dataset


class Decided(Struct, frozen=True, tag="experiment.decided"):
    decision: Literal["promote", "discard"]
    reason: str
    judgement: gate.Judgement | None


class Promoted(Struct, frozen=True, tag="experiment.promoted"):
    pass


class RollbackStarted(Struct, frozen=True, tag="experiment.rollback_started"):
    reason: str


class Concluded(Struct, frozen=True, tag="experiment.concluded"):
    outcome: Outcome
    reason: str


class Unknown(Struct, frozen=True, tag="unknown"):
    pass


class Running(Struct, frozen=True, tag="running"):
    """`undoing` says why, if so; `cancelled`, whether a person asked for it."""

    requested: Requested
    step: Step | None = None
    dataset: Dataset | None = None
    trained: Trained | None = None
    evaluated: Evaluated | None = None
    promoted: bool = False
    cancelled: bool = False
    undoing: str | None = None


class Ended(Struct, frozen=True, tag="ended"):
    outcome: Outcome
    requested: Requested


Reported = (
    StartStep | RecordDataset | RecordTraining | RecordEvaluation | Decide | ReportPromoted | StartRollback | Conclude
)
Command = Open | Cancel | Reported
Event = (
    Requested
    | CancellationRequested
    | StepStarted
    | DatasetAssembled
    | Trained
    | Evaluated
    | Decided
    | Promoted
    | RollbackStarted
    | Concluded
)
State = Unknown | Running | Ended


def decide(command: Command, state: State) -> tuple[Event, ...] | Refusal:
    match command, state:
        case Open(), Unknown():
            return (Requested(*structs.astuple(command)),)
        case Open(), _:
            return Refusal("experiment_already_open", "this id belongs to another experiment")
        case _, Unknown():
            return Refusal("experiment_not_found", "there is no such experiment")
        case Cancel(), Ended(outcome):
            return Refusal("experiment_ended", f"the experiment has already ended: {outcome}")
        case Cancel(reason), Running():
            going_back = state.cancelled or state.undoing is not None
            return () if going_back else (CancellationRequested(reason),)
        case Conclude(outcome), Ended() if outcome == state.outcome:
            return ()
        case _, Ended(outcome):
            return Refusal("experiment_ended", f"the experiment has already ended: {outcome}")
        case _, Running():
            return _reported(command, state)


def _reported(command: Reported, state: Running) -> tuple[Event, ...] | Refusal:
    """Nothing goes forward any more once a person has asked for the end, or the way back has begun."""
    if _goes_forward(command):
        if state.undoing is not None:
            return Refusal("rollback_started", "the experiment is being undone")
        if state.cancelled:
            return Refusal("cancellation_requested", "the experiment is to be cancelled")
    match command:
        case StartStep(step):
            return (StepStarted(step),)
        case RecordDataset(dataset):
            return (DatasetAssembled(dataset),)
        case RecordTraining(trained):
            return (trained,)
        case RecordEvaluation(evaluated):
            return (evaluated,)
        case Decide(decision, reason, judgement):
            return (Decided(decision, reason, judgement),)
        case ReportPromoted():
            return (Promoted(),)
        case StartRollback(reason):
            return () if state.undoing is not None else (RollbackStarted(reason),)
        case Conclude(outcome, reason):
            return (Concluded(outcome, reason),)


def _goes_forward(command: Reported) -> bool:
    match command:
        case StartRollback():
            return False
        case Conclude(outcome):
            return outcome == "promoted"
        case StartStep() | RecordDataset() | RecordTraining() | RecordEvaluation() | Decide() | ReportPromoted():
            return True


def evolve(state: State, event: Event) -> State:
    match event, state:
        case Requested(), _:
            return Running(event)
        case _, (Unknown() | Ended()):
            return state
        case CancellationRequested(), Running():
            return structs.replace(state, cancelled=True)
        case StepStarted(step), Running():
            return structs.replace(state, step=step)
        case DatasetAssembled(dataset), Running():
            return structs.replace(state, dataset=dataset)
        case Trained(), Running():
            return structs.replace(state, trained=event)
        case Evaluated(), Running():
            return structs.replace(state, evaluated=event)
        case Decided(), Running():
            return state
        case Promoted(), Running():
            return structs.replace(state, promoted=True)
        case RollbackStarted(reason), Running():
            return structs.replace(state, undoing=reason)
        case Concluded(outcome), Running():
            return Ended(outcome, state.requested)


experiment: Decider[Command, State, Event] = Decider(
    "experiment",
    Command,
    Event,
    State,
    Unknown(),
    decide,
    evolve,
    internal=(
        Open,
        StartStep,
        RecordDataset,
        RecordTraining,
        RecordEvaluation,
        Decide,
        ReportPromoted,
        StartRollback,
        Conclude,
    ),
    opening=(Open,),
)
