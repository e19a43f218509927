"""The retraining saga, pure: from an experiment that was asked for to a version that is promoted, or discarded.

    assemble → train → evaluate → shadow → promote → watch

Without a version in use there is neither shadow nor watch. When a step fails, when the evidence is missing or against
it, or when a person says so, the way back ends the comparison, restores the version that was in use and discards the
new one. Comparisons and promotions are commands to the model, written with the saga's own events or not at all.
"""

from __future__ import annotations

from typing import Any, cast

import msgspec

from domain import experiment, model, monitor, saga
from domain.experiment import Step
from eventstore.envelope import Recorded
from sagas.definition import (
    Cancelled,
    Decision,
    Done,
    Exhausted,
    Heard,
    Outcome,
    Perform,
    Refused,
    Rejected,
    Stumbled,
    TimedOut,
    Told,
    Unreachable,
)
from sagas.experiment_course import Retraining, clipped, planned, retraining_of, undoing
from sagas.verdicts import discard, fail, first_gate, follow, turn_back, watched

KIND = "retraining"


def saga_id(experiment_id: str) -> str:
    return f"{KIND}-{experiment_id}"


def listens(event: Recorded, data: Any) -> tuple[str, saga.Started | Outcome] | None:
    """What an event of an experiment, a model or a monitor means for a retraining saga."""
    match data:
        case experiment.Requested():
            return saga_id(event.stream.id), _started(event.stream.id, data)
        case experiment.CancellationRequested(reason):
            return saga_id(event.stream.id), Cancelled(reason or "no reason given")
        case monitor.ComparisonJudged(_, compared):
            return saga_id(compared.experiment_id), Heard(data)
        case model.RolledBack(experiment_id=str(experiment_id)):
            return saga_id(experiment_id), Heard(data)
        case _:
            return None


def _started(experiment_id: str, requested: experiment.Requested) -> saga.Started:
    retraining = Retraining(experiment_id, requested)
    stream = f"{experiment.experiment.category}/{experiment_id}"
    return saga.Started(KIND, stream, retraining.steps, msgspec.Raw(msgspec.json.encode(retraining)))


def plan(state: saga.Running) -> Decision | Perform | None:
    retraining = retraining_of(state)
    if state.paused is not None:
        return None
    if state.compensating is not None:
        return _backward(state, retraining, state.compensating)
    if state.step is not None:
        return _under_way(state, retraining)
    return _begin(retraining, cast(Step, state.remaining[0])) if state.remaining else _conclude(retraining)


def _under_way(state: saga.Running, retraining: Retraining) -> Perform | None:
    match state.step:
        case "assemble" | "evaluate":
            return Perform(state.step, state.step)
        case "train":
            return Perform("train", "train", retraining.key("train"))
        case _:
            return None  # the comparison is judged elsewhere


def _begin(retraining: Retraining, step: Step) -> Decision:
    started = saga.StepStarted(step, retraining.timeout(step), f"{step}-timeout")
    told = (retraining.tell_experiment(experiment.StartStep(step)),)
    requested = retraining.requested
    match step:
        case "assemble" if requested.dataset is not None:
            done = saga.StepCompleted(step, f"the dataset {requested.dataset.dataset_id} was given")
            return Decision((started, done), told)
        case "assemble" | "evaluate":
            return Decision((started,), told)
        case "train":
            return Decision((started, planned(retraining, step)), told)
        case "shadow":
            return _compare(retraining, "shadow", requested.version, started, told)
        case "promote":
            return _promote(retraining, started, told)
        case "watch":
            other = requested.champion.version if requested.champion else requested.version
            return _compare(retraining, "watch", other, started, told)


def _compare(
    retraining: Retraining, kind: model.Kind, other: str, started: saga.StepStarted, told: tuple[Told, ...]
) -> Decision:
    kept = saga.EffectKept(retraining.key(kind), f"version {other} answers in the shadow")
    start = model.StartComparison(retraining.experiment_id, kind, other)
    return Decision((started, planned(retraining, kind), kept), (*told, retraining.tell_model(start)))


def _promote(retraining: Retraining, started: saga.StepStarted, told: tuple[Told, ...]) -> Decision:
    requested = retraining.requested
    champion = requested.champion.version if requested.champion else None
    reason = "its evidence is in the experiment"
    promote = model.PromoteChallenger(retraining.experiment_id, requested.version, champion, reason)
    kept = saga.EffectKept(retraining.key("promote"), f"version {requested.version} is in use")
    return Decision(
        (started, planned(retraining, "promote"), kept, saga.StepCompleted("promote", kept.result)),
        (*told, retraining.tell_model(promote), retraining.tell_experiment(experiment.ReportPromoted())),
    )


def _conclude(retraining: Retraining) -> Decision:
    watched = retraining.requested.champion is not None
    reason = "in use; nothing spoke against it while it was watched" if watched else "in use; nothing was before it"
    return Decision((saga.Completed(),), _ending(retraining, "promoted", reason, retraining.requested.version))


def _backward(state: saga.Running, retraining: Retraining, reason: str) -> Decision:
    """The effects in reverse, each with its undo; then the end."""
    for effect in reversed(state.effects):
        if not effect.closed:
            return Decision((saga.EffectUndone(effect.key),), undoing(retraining, effect, reason))
    version = retraining.requested.version
    added = "evaluate" in state.completed
    discarded = (retraining.tell_model(model.DiscardVersion(version, clipped(reason))),) if added else ()
    outcome = "rolled_back" if "promote" in state.completed else "discarded"
    return Decision((saga.Compensated(),), (*discarded, *_ending(retraining, outcome, reason)))


def _ending(
    retraining: Retraining, outcome: experiment.Outcome, reason: str, in_use: str | None = None
) -> tuple[Told, ...]:
    """With `in_use`, only if that version still is."""
    return (
        retraining.tell_experiment(experiment.Conclude(outcome, clipped(reason))),
        retraining.tell_model(model.ReleaseTraining(retraining.experiment_id, in_use)),
    )


def react(state: saga.Running, outcome: Outcome) -> Decision:
    retraining = retraining_of(state)
    match outcome:
        case Done(what, detail, reports) if what.step == "evaluate":
            return first_gate(retraining, detail, reports)
        case Done(what, detail, reports):
            kept = (saga.EffectKept(what.key, detail),) if what.key is not None else ()
            return Decision((*kept, saga.StepCompleted(what.step, detail)), reports)
        case Stumbled(what, number, delay, reason, reports):
            return Decision((saga.StepRetried(what.step, number, delay, reason),), reports)
        case Exhausted(what, reason):
            unknown = (saga.EffectUnknown(what.key, reason),) if what.key is not None else ()
            return Decision((*unknown, saga.Paused(f"{what.step}: {reason}")))
        case Rejected(what, reason) | Unreachable(what, reason):
            return fail(what.step, reason)
        case Heard(event):
            return _hear(state, retraining, event)
        case TimedOut(timer):
            return _timed_out(state, retraining, timer)
        case Refused(refusal, reason):
            return _refused(state, retraining, refusal, reason)
        case Cancelled(reason):
            return _cancel(state, retraining, reason)


def _hear(state: saga.Running, retraining: Retraining, event: monitor.ComparisonJudged | model.RolledBack) -> Decision:
    """Of what is over, or was heard before, nothing follows. A rollback on the way back is the saga's own."""
    forward = state.compensating is None
    match event:
        case model.RolledBack(_, _, _, reason) if forward:
            return turn_back(retraining, f"the model was rolled back{f': {reason}' if reason else ''}")
        case monitor.ComparisonJudged(number, compared) if (
            forward and state.paused is None and state.step == compared.kind and number > state.verdict
        ):
            return follow(retraining, number, compared)
        case model.RolledBack() | monitor.ComparisonJudged():
            return Decision()


def _timed_out(state: saga.Running, retraining: Retraining, timer: str) -> Decision:
    over = state.compensating is not None or state.paused is not None
    if over or state.step is None or timer != f"{state.step}-timeout":
        return Decision()
    late = f"within {state.timeout:g} s"
    match state.step:
        case "assemble":
            counted = f" (when last counted: {state.stumbled})" if state.stumbled else ""
            return fail("assemble", f"not enough labelled rows {late}{counted}")
        case "shadow":
            return discard(retraining, "shadow", f"no evidence that it is better {late}")
        case "watch":
            return watched(retraining, f"nothing spoke against it {late}")
        case _:
            return fail(state.step, f"not done {late}")


def _refused(state: saga.Running, retraining: Retraining, refusal: str, reason: str) -> Decision:
    if state.compensating is not None:
        stuck = next((effect.key for effect in reversed(state.effects) if not effect.closed), None)
        alarm = (saga.CompensationFailed(stuck, reason),) if stuck is not None else ()
        return Decision((*alarm, saga.Paused(f"{refusal}: {reason}")))
    match refusal:
        case "cancellation_requested":
            return _cancel(state, retraining, reason)
        case "champion_changed" if "promote" in state.completed:
            return turn_back(retraining, reason)
        case "champion_changed":
            return discard(retraining, state.remaining[0], reason)
        case "dataset_already_registered":
            return fail("assemble", reason)
        case _:
            return Decision((saga.Paused(f"{refusal}: {reason}"),))


def _cancel(state: saga.Running, retraining: Retraining, reason: str) -> Decision:
    return turn_back(retraining, f"cancelled: {reason}") if state.compensating is None else Decision()
