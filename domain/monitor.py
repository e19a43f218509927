"""What is observed of a model in use: its inputs, its errors as labels come in, drift, and which version is better.

A monitor's id is its model's. People (and other systems) give labels; the observer reports the rest. Rows are kept by
reference: `content` is the SHA-256 of a stored Parquet file. Every verdict can be computed again from them.
"""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct, structs

from domain import gate
from domain.decider import ID, Decider, Refusal
from domain.drift import Thresholds, Verdict, Window
from domain.model import Holdout, Kind, VersionNumber
from domain.model_policy import Monitoring
from domain.pipeline import Sha256

Id = Annotated[str, Meta(pattern=ID)]
PredictionId = Annotated[str, Meta(pattern=r"^[A-Za-z0-9_-]{1,128}\.[0-9]{1,6}$")]
"""`<batch>.<row>`, as the answer to a prediction says."""


class Label(Struct, frozen=True, forbid_unknown_fields=True):
    """What the right answer would have been."""

    prediction: PredictionId
    label: Annotated[str, Meta(min_length=1, max_length=200)]


class RecordLabels(Struct, frozen=True, forbid_unknown_fields=True, tag="monitor.record_labels"):
    """However late. A label that is given again counts once: the first one."""

    labels: Annotated[tuple[Label, ...], Meta(min_length=1, max_length=10_000)]


class Begin(Struct, frozen=True, forbid_unknown_fields=True, tag="monitor.begin"):
    """Another version is in use: its training data is the reference from now on."""

    version: VersionNumber
    reference: Sha256
    holdout: Holdout
    monitoring: Monitoring
    thresholds: Thresholds
    policy_version: str
    after: int
    """Predictions at or before this position of their stream are not of this version."""
    turn: int = 0
    """The version of the model's stream at which it came into use, or people changed how it is watched."""


class ObserveInputs(Struct, frozen=True, forbid_unknown_fields=True, tag="monitor.observe_inputs"):
    """`beginning`: the one whose reference and detectors this comes from, counted from 1."""

    beginning: int
    first: int
    last: int
    rows: int
    content: Sha256 | None
    windows: tuple[Window, ...] = ()
    verdicts: tuple[Verdict, ...] = ()


class Compared(Struct, frozen=True):
    """The version in use beside another one, on all rows since the comparison began."""

    experiment_id: str
    kind: Kind
    other: str
    judgement: gate.Judgement


class ObserveOutcomes(Struct, frozen=True, forbid_unknown_fields=True, tag="monitor.observe_outcomes"):
    """Of the labels in events `labels_from` to `labels_to` (versions) of this stream."""

    beginning: int
    labels_from: int
    labels_to: int
    rows: int
    wrong: int
    of_version: int
    unmatched: int
    content: Sha256 | None
    verdicts: tuple[Verdict, ...] = ()
    compared: Compared | None = None
    wrong_of_version: int | None = None


# Event tags are storage: never rename one that has been written.
class LabelsRecorded(Struct, frozen=True, tag="monitor.labels_recorded"):
    labels: tuple[Label, ...]


class Began(Struct, frozen=True, tag="monitor.began"):
    version: str
    reference: str
    holdout: Holdout
    monitoring: Monitoring
    thresholds: Thresholds
    policy_version: str
    after: int
    turn: int = 0


class InputsObserved(Struct, frozen=True, tag="monitor.inputs_observed"):
    """`first` and `last` are positions in the stream of predictions; `rows` of them were of the version in use.
    `windows` are those that were filled by these rows."""

    number: int
    version: str
    first: int
    last: int
    rows: int
    content: str | None
    windows: tuple[Window, ...]


class OutcomesObserved(Struct, frozen=True, tag="monitor.outcomes_observed"):
    """`labels_to` is the version of the last event with labels in this stream that was read. `rows` labelled
    predictions, of which `wrong` were wrong; `of_version` of them by the version in use, of which `wrong_of_version`
    were wrong (None: an event from before that was told); `unmatched` labels are for predictions that are not recorded
    (any more), or came a second time."""

    number: int
    version: str
    labels_to: int
    rows: int
    wrong: int
    of_version: int
    unmatched: int
    content: str | None
    wrong_of_version: int | None = None

    @property
    def errors(self) -> int | None:
        """Of the version in use; None where nobody can say."""
        return self.wrong if self.rows == self.of_version else self.wrong_of_version


class Judged(Struct, frozen=True, tag="monitor.judged"):
    """Drift, in the observation with that number (of inputs, or of outcomes where `verdict.kind` is errors)."""

    number: int
    version: str
    observation: int
    verdict: Verdict
    policy_version: str


class ComparisonJudged(Struct, frozen=True, tag="monitor.comparison_judged"):
    number: int
    compared: Compared


class Idle(Struct, frozen=True, tag="idle"):
    """Nothing is observed yet; labels may come before."""


class Watching(Struct, frozen=True, tag="watching"):
    """`inputs_to` and `labels_to`: how far was read. `rows` labelled ones in all, and counters of what was recorded."""

    began: Began
    inputs_to: int
    beginnings: int = 1
    labels_to: int = 0
    inputs: int = 0
    outcomes: int = 0
    rows: int = 0
    verdicts: int = 0
    comparisons: int = 0


Command = RecordLabels | Begin | ObserveInputs | ObserveOutcomes
Event = LabelsRecorded | Began | InputsObserved | OutcomesObserved | Judged | ComparisonJudged
State = Idle | Watching


def decide(command: Command, state: State) -> tuple[Event, ...] | Refusal:
    match command, state:
        case RecordLabels(labels), _:
            return (LabelsRecorded(labels),)
        case Begin(turn=turn), Watching() if turn < state.began.turn:
            return Refusal("later_version_watched", f"version {state.began.version} came into use after this one")
        case Begin(), _:
            return (Began(*structs.astuple(command)),)
        case ((ObserveInputs() | ObserveOutcomes()), Idle()):
            return Refusal("not_monitored", "no version is in use")
        case ((ObserveInputs(beginning) | ObserveOutcomes(beginning)), Watching()) if beginning != state.beginnings:
            return Refusal(
                "reference_changed", f"version {state.began.version} is watched now, beside its own reference"
            )
        case ObserveInputs(), Watching():
            return _inputs(command, state)
        case ObserveOutcomes(), Watching():
            return _outcomes(command, state)


def _inputs(command: ObserveInputs, state: Watching) -> tuple[Event, ...] | Refusal:
    if command.first <= state.inputs_to:
        return Refusal("already_observed", f"predictions up to {state.inputs_to} were observed before")
    number, version = state.inputs + 1, state.began.version
    seen = InputsObserved(number, version, command.first, command.last, command.rows, command.content, command.windows)
    return (seen, *_judged(command.verdicts, number, state))


def _outcomes(command: ObserveOutcomes, state: Watching) -> tuple[Event, ...] | Refusal:
    if command.labels_from <= state.labels_to:
        return Refusal("already_observed", f"labels up to version {state.labels_to} were observed before")
    number, version = state.outcomes + 1, state.began.version
    seen = OutcomesObserved(
        number,
        version,
        command.labels_to,
        command.rows,
        command.wrong,
        command.of_version,
        command.unmatched,
        command.content,
        command.wrong_of_version,
    )
    compared = (ComparisonJudged(state.comparisons + 1, command.compared),) if command.compared else ()
    return (seen, *_judged(command.verdicts, number, state), *compared)


def _judged(verdicts: tuple[Verdict, ...], observation: int, state: Watching) -> tuple[Judged, ...]:
    began = state.began
    return tuple(
        Judged(state.verdicts + number, began.version, observation, verdict, began.policy_version)
        for number, verdict in enumerate(verdicts, 1)
    )


def evolve(state: State, event: Event) -> State:
    match event, state:
        case LabelsRecorded(), _:
            return state
        case Began(), Idle():
            return Watching(event, event.after)
        case Began(), Watching():
            return structs.replace(state, began=event, inputs_to=event.after, beginnings=state.beginnings + 1)
        case _, Idle():
            return state
        case InputsObserved(number), Watching():
            return structs.replace(state, inputs_to=event.last, inputs=number)
        case OutcomesObserved(number), Watching():
            rows = state.rows + event.rows
            return structs.replace(state, labels_to=event.labels_to, outcomes=number, rows=rows)
        case Judged(number), Watching():
            return structs.replace(state, verdicts=number)
        case ComparisonJudged(number), Watching():
            return structs.replace(state, comparisons=number)


monitor: Decider[Command, State, Event] = Decider(
    "monitor", Command, Event, State, Idle(), decide, evolve, internal=(Begin, ObserveInputs, ObserveOutcomes)
)
