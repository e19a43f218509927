"""The deployment saga, pure: the steps of the strategy, each effect with its undo, and what follows what happens.

When a step fails, times out, is judged harmful or the deployment is cancelled, the effects are undone in reverse
order, which restores exactly what was there. When a target cannot be reached, the rollout begins again on the next
one; what it left on the first is undone when the new release is live.
"""

from __future__ import annotations

from typing import Any

import msgspec

from domain import canary, deployment, environment, saga
from domain.deployment import Step
from domain.environment import LiveRelease
from domain.strategy import declared, kind_of
from eventstore.envelope import Recorded
from sagas.course import UNDO, Action, Attempt, Rollout, actions, aftermath
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

KIND = "deployment"


def saga_id(deployment_id: str) -> str:
    return f"{KIND}-{deployment_id}"


def rollout_of(state: saga.Running) -> Rollout:
    return msgspec.json.decode(state.input, type=Rollout)


def attempt_of(state: saga.Running) -> Attempt:
    return Attempt(rollout_of(state), state.attempt)


def listens(event: Recorded, data: Any) -> tuple[str, saga.Started | Outcome] | None:
    """What an event of a deployment means for its saga."""
    match data:
        case deployment.Requested():
            return saga_id(event.stream.id), _started(event.stream.id, data)
        case deployment.CancellationRequested(reason):
            return saga_id(event.stream.id), Cancelled(reason or "no reason given")
        case canary.Judged() | canary.Promoted():
            return saga_id(event.stream.id), Heard(data)
        case _:
            return None


def _started(deployment_id: str, requested: deployment.Requested) -> saga.Started:
    rollout = Rollout(
        deployment_id,
        requested.stack_id,
        requested.environment_id,
        requested.version,
        requested.policy,
        requested.release,
        requested.target,
        requested.previous,
        requested.strategy,
        requested.fallbacks,
        requested.instances,
        requested.previous_target,
    )
    stream = f"{deployment.deployment.category}/{deployment_id}"
    return saga.Started(KIND, stream, Attempt(rollout, 1).steps, msgspec.Raw(msgspec.json.encode(rollout)))


def plan(state: saga.Running) -> Decision | Perform | None:
    attempt = attempt_of(state)
    if state.paused is not None:
        return None
    if state.compensating is not None:
        return _plan_backward(state, attempt.rollout)
    if state.delivered:
        return _plan_aftermath(state)
    if state.step is not None:
        return _plan_step(state, attempt, state.step)
    return _begin(attempt, state.remaining[0]) if state.remaining else _complete(state, attempt)


def _plan_backward(state: saga.Running, rollout: Rollout) -> Decision | Perform:
    for effect in reversed(state.effects):
        if not effect.closed:
            return _undo(effect)
    waived = tuple(effect.key for effect in state.effects if effect.status == "waived")
    return Decision(
        (saga.Compensated(),),
        (_tell(rollout, deployment.ConcludeRollback(waived)), _settle(rollout, rollout.previous)),
    )


def _plan_aftermath(state: saga.Running) -> Decision | Perform:
    """Old releases go, and what earlier attempts have left is undone.

    An earlier attempt that had begun to retire the same old releases is undone first: later it would revive them.
    """
    left = [effect for effect in reversed(state.effects) if effect.attempt < state.attempt and not effect.closed]
    going = [e for e in state.effects if e.attempt == state.attempt and e.status in saga.OPEN]
    if going and not any(effect.operation == "retire" for effect in left):
        return Perform(going[0].step, going[0].operation, going[0].key, attempt=going[0].attempt)
    return _undo(left[0]) if left else Decision((saga.Completed(),))


def _undo(effect: saga.Effect) -> Perform:
    return Perform(effect.step, effect.undo, effect.key, undo=True, attempt=effect.attempt)


def _begin(attempt: Attempt, step: Step) -> Decision:
    planned = (_planned(attempt, step, action) for action in actions(attempt, step))
    started = saga.StepStarted(step, _timeout(attempt.rollout, step), f"{step}-timeout")
    return Decision((started, *planned), (_tell(attempt.rollout, deployment.StartStep(step)),))


def _planned(attempt: Attempt, step: Step, action: Action) -> saga.EffectPlanned:
    return saga.EffectPlanned(action.key, step, action.operation, UNDO[action.operation], attempt.number)


def _timeout(rollout: Rollout, step: Step) -> float:
    """In seconds. A canary has its own sense of time; the old release is kept exactly as long as the strategy says."""
    strategy = declared(rollout.strategy)
    match kind_of(step), strategy:
        case (("canary" | "gate"), _):
            return 0.0
        case "keep", _:
            return getattr(strategy, "keep", 0.0)
        case _:
            return rollout.policy.timeout(step)


def _plan_step(state: saga.Running, attempt: Attempt, step: Step) -> Perform | None:
    if step == "gate":
        return None
    for action in actions(attempt, step):
        if state.effect(action.key).status in saga.OPEN:
            return Perform(step, action.operation, action.key, attempt=attempt.number)
    return Perform(step, "look" if kind_of(step) == "canary" else kind_of(step), attempt=attempt.number)


def _complete(state: saga.Running, attempt: Attempt) -> Decision:
    switches = [e for e in state.effects if e.operation == "switch" and e.attempt == attempt.number]
    told = (_tell(attempt.rollout, deployment.Complete(switches[-1].result)), _settle(attempt.rollout, attempt.live))
    left = any(effect.attempt < attempt.number and not effect.closed for effect in state.effects)
    farewell = [_planned(attempt, "retire", action) for action in aftermath(attempt)]
    if left or farewell:
        return Decision((*farewell, saga.Delivered()), told)
    return Decision((saga.Completed(),), told)


def react(state: saga.Running, outcome: Outcome) -> Decision:
    attempt = attempt_of(state)
    rollout = attempt.rollout
    match outcome:
        case Done():
            return _done(state, attempt, outcome)
        case Stumbled(what, number, delay, reason, reports):
            return Decision((saga.StepRetried(what.step, number, delay, reason),), reports)
        case Exhausted(what, reason):
            return _exhausted(what, reason)
        case Unreachable(what, reason):
            return _fall_back(state, attempt, what, reason)
        case Rejected(what, reason) if what.undo or state.delivered:
            return _undo_failed(what, reason)
        case Rejected(what, reason):
            return _fail(rollout, what.step, reason)
        case Heard(event):
            return _hear(state, rollout, event)
        case TimedOut(timer):
            return _timed_out(state, rollout, timer)
        case Cancelled(reason) | Refused("cancellation_requested", reason):
            return _cancel(state, rollout, reason)
        case Refused(refusal, reason):
            return Decision((saga.Paused(f"{refusal}: {reason}"),))


def _done(state: saga.Running, attempt: Attempt, done: Done) -> Decision:
    what, detail, reports = done.what, done.detail, done.reports
    if what.undo and what.key is not None:
        told = () if state.delivered else (_tell(attempt.rollout, deployment.CompensateStep(what.step, detail)),)
        return Decision((saga.EffectUndone(what.key),), (*told, *reports))
    if what.operation == "look":
        return Decision((), reports)
    kept = (saga.EffectKept(what.key, detail),) if what.key is not None else ()
    if state.delivered or kind_of(what.step) == "canary" or _more_to_do(state, attempt, what):
        return Decision(kept, reports)
    events, told = _step_done(attempt.rollout, what.step, detail)
    seen_well = what.operation in ("health", "keep-health")
    healthy = (_tell(attempt.rollout, deployment.ReportHealth(True, detail)),) if seen_well else ()
    return Decision((*kept, *events), (*reports, *healthy, *told))


def _more_to_do(state: saga.Running, attempt: Attempt, what: Perform) -> bool:
    others = (action.key for action in actions(attempt, what.step) if action.key != what.key)
    return any(state.effect(key).status in saga.OPEN for key in others)


def _step_done(rollout: Rollout, step: Step, detail: str) -> tuple[tuple[saga.Event, ...], tuple[Told, ...]]:
    return (saga.StepCompleted(step, detail),), (_tell(rollout, deployment.CompleteStep(step, detail)),)


def _exhausted(what: Perform, reason: str) -> Decision:
    if what.undo:
        return _undo_failed(what, reason)
    unknown = (saga.EffectUnknown(what.key, reason),) if what.key is not None else ()
    return Decision((*unknown, saga.Paused(f"{what.step}: {reason}")))


def _fall_back(state: saga.Running, attempt: Attempt, what: Perform, reason: str) -> Decision:
    """On to the next target, as a new attempt in the same streams."""
    following = Attempt(attempt.rollout, attempt.number + 1)
    unknown = (saga.EffectUnknown(what.key, reason),) if what.key is not None else ()
    started = saga.AttemptStarted(following.number, following.target.name, following.steps, reason)
    told = deployment.StartAttempt(following.number, following.target.name, reason)
    return Decision((*unknown, saga.StepFailed(what.step, reason), started), (_tell(attempt.rollout, told),))


def _undo_failed(what: Perform, reason: str) -> Decision:
    return Decision(
        (saga.CompensationFailed(what.key or what.step, reason), saga.Paused(f"{what.operation}: {reason}"))
    )


def _fail(rollout: Rollout, step: Step, reason: str) -> Decision:
    unhealthy = kind_of(step) in ("health", "keep", "keep-health")
    return Decision(
        (saga.StepFailed(step, reason), saga.CompensationStarted(f"{step} failed: {reason}")),
        (
            *((_tell(rollout, deployment.ReportHealth(False, reason)),) if unhealthy else ()),
            _tell(rollout, deployment.FailStep(step, reason)),
            _tell(rollout, deployment.StartRollback(f"{step} failed: {reason}")),
        ),
    )


def _hear(state: saga.Running, rollout: Rollout, event: canary.Judged | canary.Promoted) -> Decision:
    """Of what is over, or was heard before, nothing follows."""
    forward = state.compensating is None and state.step == event.step
    match event:
        case canary.Promoted(("keep" | "gate"), reason) if forward:
            return Decision(*_step_done(rollout, event.step, reason or "promoted by a person"))
        case canary.Judged(number) if forward and number > state.verdict:
            return _follow(state, rollout, event)
        case canary.Promoted() | canary.Judged():
            return Decision()


def _follow(state: saga.Running, rollout: Rollout, verdict: canary.Judged) -> Decision:
    heard = saga.VerdictHeard(verdict.step, verdict.number, verdict.decision)
    if verdict.decision == "roll_back":
        failed = _fail(rollout, verdict.step, verdict.reason)
        return Decision((heard, *failed.events), failed.commands)
    if state.paused is not None or verdict.decision not in ("advance", "promote"):
        return Decision((heard,))
    events, told = _step_done(rollout, verdict.step, verdict.reason)
    rest = tuple(step for step in state.remaining if kind_of(step) == "canary" and step != verdict.step)
    if verdict.decision == "promote" and rest:
        skipped = deployment.SkipSteps(rest, verdict.reason)
        return Decision((heard, *events, saga.StepsSkipped(rest)), (*told, _tell(rollout, skipped)))
    return Decision((heard, *events), told)


def _timed_out(state: saga.Running, rollout: Rollout, timer: str) -> Decision:
    over = state.compensating is not None or state.paused is not None or state.delivered
    if over or state.step is None or timer != f"{state.step}-timeout":
        return Decision()
    seconds = _timeout(rollout, state.step)
    if state.step == "keep":
        return Decision(*_step_done(rollout, "keep", f"nothing spoke against it for {seconds:g} s"))
    return _fail(rollout, state.step, f"not done within {seconds:g} s")


def _cancel(state: saga.Running, rollout: Rollout, reason: str) -> Decision:
    if state.compensating is not None or state.delivered:
        return Decision()
    why = f"cancelled: {reason}"
    return Decision((saga.CompensationStarted(why),), (_tell(rollout, deployment.StartRollback(why)),))


def _tell(rollout: Rollout, command: deployment.Command) -> Told:
    return Told(deployment.deployment.category, rollout.deployment_id, command)


def _settle(rollout: Rollout, live: LiveRelease | None) -> Told:
    return Told(
        environment.environment.category,
        rollout.environment_id,
        environment.SettleRollout(rollout.stack_id, rollout.deployment_id, live),
    )
