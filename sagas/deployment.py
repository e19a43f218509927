"""The deployment saga, pure: validate → allocate → start → health → switch → retire, each step with its undo.

Traffic moves to the new release at once when it is healthy; the old one is retired last. When a step fails, times
out or the deployment is cancelled, the effects are undone in reverse order, which restores exactly what was there.
"""

from __future__ import annotations

from typing import Any, NamedTuple, cast

import msgspec

from domain import deployment, environment, saga
from domain.deployment import STEPS, RolloutPolicy, Step
from domain.environment import LiveRelease, Target
from domain.stack import ReleaseSpec
from eventstore.envelope import Recorded
from sagas.definition import (
    Cancelled,
    Decision,
    Done,
    Exhausted,
    Outcome,
    Perform,
    Refused,
    Rejected,
    Stumbled,
    TimedOut,
    Told,
)

KIND = "deployment"


class Rollout(msgspec.Struct, frozen=True):
    """All the saga ever needs to know of its deployment: recorded when it starts, never looked up again."""

    deployment_id: str
    stack_id: str
    environment_id: str
    version: str
    policy: RolloutPolicy
    release: ReleaseSpec
    target: Target
    previous: LiveRelease | None

    @property
    def front(self) -> str:
        """The name of the traffic entry, the same for every release of the stack in the environment."""
        return f"{self.environment_id}--{self.stack_id}"

    def key(self, step: str) -> str:
        return effect_key(self.deployment_id, step)

    @property
    def live(self) -> LiveRelease:
        """What has the traffic when this rollout is complete."""
        return LiveRelease(self.deployment_id, self.version, self.target.name)


class _Effect(NamedTuple):
    operation: str
    undo: str


_EFFECTS: dict[Step, _Effect] = {
    "allocate": _Effect("allocate", "free"),
    "start": _Effect("start", "stop"),
    "switch": _Effect("switch", "switch_back"),
    "retire": _Effect("retire", "unretire"),
}


def effect_key(deployment_id: str, step: str) -> str:
    """The idempotency key of a step's effect: the same in every attempt, in every process, for ever."""
    return f"{deployment_id}-{step}"


def saga_id(deployment_id: str) -> str:
    return f"{KIND}-{deployment_id}"


def rollout_of(state: saga.Running) -> Rollout:
    return msgspec.json.decode(state.input, type=Rollout)


def listens(event: Recorded, data: Any) -> tuple[str, saga.Started | Outcome] | None:
    """What an event of a deployment means for its saga."""
    match data:
        case deployment.Requested():
            return saga_id(event.stream.id), _started(event.stream.id, data)
        case deployment.CancellationRequested(reason):
            return saga_id(event.stream.id), Cancelled(reason or "no reason given")
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
    )
    return saga.Started(
        KIND, f"{deployment.deployment.category}/{deployment_id}", STEPS, msgspec.Raw(msgspec.json.encode(rollout))
    )


def plan(state: saga.Running) -> Decision | Perform | None:
    rollout = rollout_of(state)
    if state.paused is not None:
        return None
    if state.compensating is not None:
        return _plan_backward(state, rollout)
    if state.step is not None:
        return _perform(state, rollout, cast("Step", state.step))
    remaining: list[Step] = [step for step in STEPS if step not in state.completed]
    return _begin(rollout, remaining[0]) if remaining else _complete(state, rollout)


def _plan_backward(state: saga.Running, rollout: Rollout) -> Decision | Perform:
    for effect in reversed(state.effects):
        if effect.status not in ("undone", "waived"):
            return Perform(effect.step, effect.undo, effect.key, undo=True)
    waived = tuple(effect.key for effect in state.effects if effect.status == "waived")
    return Decision(
        (saga.Compensated(),),
        (
            _tell(rollout, deployment.ConcludeRollback(waived)),
            _settle(rollout, rollout.previous),
        ),
    )


def _begin(rollout: Rollout, step: Step) -> Decision:
    started = saga.StepStarted(step, rollout.policy.timeout(step), f"{step}-timeout")
    effect = _EFFECTS.get(step)
    told = (_tell(rollout, deployment.StartStep(step)),)
    if effect is None or _nothing_to_retire(rollout, step):
        return Decision((started,), told)
    return Decision((started, saga.EffectPlanned(rollout.key(step), step, effect.operation, effect.undo)), told)


def _perform(state: saga.Running, rollout: Rollout, step: Step) -> Perform:
    key = rollout.key(step)
    if any(effect.key == key for effect in state.effects):
        return Perform(step, _EFFECTS[step].operation, key)
    return Perform(step, step)


def _complete(state: saga.Running, rollout: Rollout) -> Decision:
    url = state.effect(rollout.key("switch")).result
    return Decision(
        (saga.Completed(),),
        (_tell(rollout, deployment.Complete(url)), _settle(rollout, rollout.live)),
    )


def react(state: saga.Running, outcome: Outcome) -> Decision:
    rollout = rollout_of(state)
    match outcome:
        case Done(what, detail):
            return _done(rollout, what, detail)
        case Stumbled(what, attempt, delay, reason):
            return Decision((saga.StepRetried(what.step, attempt, delay, reason),))
        case Exhausted(what, reason):
            return _exhausted(what, reason)
        case Rejected(what, reason) if what.undo:
            return _undo_failed(what, reason)
        case Rejected(what, reason):
            return _fail(rollout, what.step, reason)
        case TimedOut(timer):
            return _timed_out(state, rollout, timer)
        case Cancelled(reason) | Refused("cancellation_requested", reason):
            return _cancel(state, rollout, reason)
        case Refused(refusal, reason):
            return Decision((saga.Paused(f"{refusal}: {reason}"),))


def _done(rollout: Rollout, what: Perform, detail: str) -> Decision:
    step = cast("Step", what.step)
    if what.undo and what.key is not None:
        return Decision((saga.EffectUndone(what.key),), (_tell(rollout, deployment.CompensateStep(step, detail)),))
    kept = (saga.EffectKept(what.key, detail),) if what.key is not None else ()
    healthy = (_tell(rollout, deployment.ReportHealth(True, detail)),) if step == "health" else ()
    return Decision(
        (*kept, saga.StepCompleted(step, detail)),
        (*healthy, _tell(rollout, deployment.CompleteStep(step, detail))),
    )


def _exhausted(what: Perform, reason: str) -> Decision:
    if what.undo:
        return _undo_failed(what, reason)
    unknown = (saga.EffectUnknown(what.key, reason),) if what.key is not None else ()
    return Decision((*unknown, saga.Paused(f"{what.step}: {reason}")))


def _undo_failed(what: Perform, reason: str) -> Decision:
    return Decision(
        (saga.CompensationFailed(what.key or what.step, reason), saga.Paused(f"{what.operation}: {reason}"))
    )


def _fail(rollout: Rollout, name: str, reason: str) -> Decision:
    step = cast("Step", name)
    unhealthy = (_tell(rollout, deployment.ReportHealth(False, reason)),) if step == "health" else ()
    return Decision(
        (saga.StepFailed(step, reason), saga.CompensationStarted(f"{step} failed: {reason}")),
        (
            *unhealthy,
            _tell(rollout, deployment.FailStep(step, reason)),
            _tell(rollout, deployment.StartRollback(f"{step} failed: {reason}")),
        ),
    )


def _timed_out(state: saga.Running, rollout: Rollout, timer: str) -> Decision:
    over = state.compensating is not None or state.paused is not None
    if over or state.step is None or timer != f"{state.step}-timeout":
        return Decision()
    seconds = rollout.policy.timeout(cast("Step", state.step))
    return _fail(rollout, state.step, f"not done within {seconds:g} s")


def _cancel(state: saga.Running, rollout: Rollout, reason: str) -> Decision:
    if state.compensating is not None:
        return Decision()
    why = f"cancelled: {reason}"
    return Decision((saga.CompensationStarted(why),), (_tell(rollout, deployment.StartRollback(why)),))


def _nothing_to_retire(rollout: Rollout, step: Step) -> bool:
    return step == "retire" and rollout.previous is None


def _tell(rollout: Rollout, command: deployment.Report) -> Told:
    return Told(deployment.deployment.category, rollout.deployment_id, command)


def _settle(rollout: Rollout, live: LiveRelease | None) -> Told:
    return Told(
        environment.environment.category,
        rollout.environment_id,
        environment.SettleRollout(rollout.stack_id, rollout.deployment_id, live),
    )
