"""What follows for a retraining from the two gates, the holdout's and the shadow's, and from the watch after them."""

from __future__ import annotations

from domain import experiment, gate, model, monitor, saga
from domain.experiment import Evaluated
from sagas.definition import Decision, Told
from sagas.experiment_course import Retraining, clipped


def fail(step: str, reason: str) -> Decision:
    """The step cannot be done: back."""
    why = f"{step}: {reason}"
    return Decision((saga.StepFailed(step, reason), saga.CompensationStarted(why)))


def turn_back(retraining: Retraining, reason: str) -> Decision:
    """Whatever the step was, it is not wanted any more."""
    told = retraining.tell_experiment(experiment.StartRollback(clipped(reason)))
    return Decision((saga.CompensationStarted(reason),), (told,))


def discard(retraining: Retraining, step: str, reason: str, judgement: gate.Judgement | None = None) -> Decision:
    """The gate says no: back."""
    told = retraining.tell_experiment(experiment.Decide("discard", clipped(reason), judgement))
    return Decision((saga.StepFailed(step, reason), saga.CompensationStarted(reason)), (told,))


def first_gate(retraining: Retraining, detail: str, reports: tuple[Told, ...]) -> Decision:
    """On the rows held out, which the reports of the evaluation tell of: what is no good needs no shadow.

    Raises ValueError when the reports hold no evaluation.
    """
    [evaluated] = [told.command.evaluated for told in reports if isinstance(told.command, experiment.RecordEvaluation)]
    decide = _judged(retraining, evaluated)
    completed = saga.StepCompleted("evaluate", detail)
    if decide is None:
        return Decision((completed,), reports)
    told = (*reports, retraining.tell_experiment(decide))
    if decide.decision == "promote":
        return Decision((completed,), told)
    return Decision((completed, saga.CompensationStarted(decide.reason)), told)


def _judged(retraining: Retraining, evaluated: Evaluated) -> experiment.Decide | None:
    """None: the shadow decides."""
    rules, accuracy = retraining.policy.gate, evaluated.metrics["accuracy"]
    right = f"right on {accuracy:.1%} of {evaluated.holdout.rows} rows held out"
    if accuracy < rules.min_accuracy:
        return experiment.Decide("discard", f"{right}; at least {rules.min_accuracy:.1%} are asked for")
    if rules.beat_majority and accuracy <= evaluated.metrics["majority"]:
        always = f"{evaluated.metrics['majority']:.1%}"
        return experiment.Decide("discard", f"{right}; always naming the most common class is right on {always}")
    if retraining.requested.champion is None:
        return experiment.Decide("promote", f"{right}; no version is in use")
    if rules.by == "shadow":
        return None
    judgement = gate.judge(evaluated.pairs, rules.odds)
    decision = "promote" if judgement.decision == "better" else "discard"
    return experiment.Decide(decision, f"on the rows held out {gate.in_words(judgement)}", judgement)


def follow(retraining: Retraining, number: int, compared: monitor.Compared) -> Decision:
    """What a verdict of the comparison under way means: nothing, as long as it is undecided.

    It is judged again from its pairs, by the policy that the experiment began with.
    """
    match compared.kind:
        case "shadow":
            judgement = gate.judge(compared.judgement.pairs, retraining.policy.gate.odds)
            return _in_shadow(retraining, number, judgement)
        case "watch":
            judgement = gate.judge(compared.judgement.pairs, retraining.policy.watch.odds)
            return _on_watch(retraining, number, judgement)


def _in_shadow(retraining: Retraining, number: int, judgement: gate.Judgement) -> Decision:
    heard = saga.VerdictHeard("shadow", number, judgement.decision)
    words = gate.in_words(judgement)
    match judgement.decision:
        case "better":
            told = retraining.tell_experiment(experiment.Decide("promote", words, judgement))
            ended = _comparison_ended(retraining, "shadow", words)
            return Decision((heard, *ended.events), (told, *ended.commands))
        case "undecided" if judgement.pairs.rows < retraining.policy.gate.labels:
            return Decision()
        case "undecided":
            words = f"no evidence that it is better after {judgement.pairs.rows} labels: {words}"
        case "worse":
            pass
    discarded = discard(retraining, "shadow", words, judgement)
    return Decision((heard, *discarded.events), discarded.commands)


def _on_watch(retraining: Retraining, number: int, judgement: gate.Judgement) -> Decision:
    """The other version is the one from before: when that is better, it comes back."""
    heard = saga.VerdictHeard("watch", number, judgement.decision)
    if judgement.decision == "better":
        back = turn_back(retraining, f"the version before was {gate.in_words(judgement)}")
        return Decision((heard, saga.StepFailed("watch", gate.in_words(judgement)), *back.events), back.commands)
    if judgement.pairs.rows < retraining.policy.watch.labels:
        return Decision()
    over = watched(retraining, f"nothing spoke against it on {judgement.pairs.rows} labelled rows")
    return Decision((heard, *over.events), over.commands)


def watched(retraining: Retraining, detail: str) -> Decision:
    return _comparison_ended(retraining, "watch", detail)


def _comparison_ended(retraining: Retraining, kind: model.Kind, detail: str) -> Decision:
    events = (saga.EffectUndone(retraining.key(kind)), saga.StepCompleted(kind, detail))
    return Decision(events, (retraining.tell_model(model.EndComparison(retraining.experiment_id)),))
