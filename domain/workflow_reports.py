"""What comes from outside to a run, and what is made of it. Late, doubled or crossed reports change nothing."""

from __future__ import annotations

from datetime import datetime, timedelta

from msgspec import Struct

from domain.workflow import (
    UNSETTLED,
    Approved,
    Call,
    Event,
    Failed,
    FailureKind,
    Leased,
    Policy,
    Progressed,
    Rejected,
    Running,
    State,
    StepCompleted,
    Succeeded,
    Value,
)
from domain.workflow_calls import Draft, give_way, reattempt, spread
from domain.workflow_input import World
from domain.workflow_undo import turn_back

AT_ONCE = datetime.fromisoformat("1970-01-01T00:00:00+00:00")
"""The moment of what is due whatever the time is."""


class CallLeased(Struct, frozen=True):
    """It was begun `seconds` ago."""

    call: str
    attempt: int
    worker: str
    seconds: float = 0.0


class CallProgressed(Struct, frozen=True):
    call: str
    attempt: int
    fraction: float
    note: str = ""


class CallSucceeded(Struct, frozen=True):
    """`cost` is what the work reports itself; what its skill costs anyway is added."""

    call: str
    attempt: int
    output: Value
    worker: str = ""
    seconds: float = 0.0
    cost: float = 0.0
    exchanges: tuple[str, ...] = ()


class CallFailed(Struct, frozen=True):
    call: str
    attempt: int
    kind: FailureKind
    reason: str
    retryable: bool = True
    worker: str = ""
    seconds: float = 0.0
    cost: float = 0.0


class TimePassed(Struct, frozen=True):
    """Whatever is due by now."""


Said = CallLeased | CallProgressed | CallSucceeded | CallFailed | TimePassed


def take(run: str, state: State, said: Said, world: World) -> tuple[Event, ...]:
    """What is to be written of it; what follows for the run says `advance`."""
    if not isinstance(state, Running):
        return ()
    match said:
        case CallLeased():
            return _leased(state, said, world.now)
        case CallProgressed(id, attempt, fraction, note):
            return (Progressed(id, attempt, fraction, note),) if _in_hand(state, id, attempt) is not None else ()
        case CallSucceeded():
            return _succeeded(state, said)
        case CallFailed():
            return _failed(Draft(run, state, world), said)
        case TimePassed():
            return _time_passed(Draft(run, state, world))


def due(state: State) -> datetime | None:
    """The earliest moment at which TimePassed changes something."""
    if not isinstance(state, Running):
        return None
    moments = [moment for id in state.open if (moment := _due(state.calls[id])) is not None]
    if state.compensating is None:
        if state.until is not None:
            moments.append(state.until)
        moments += [
            each.until
            for each in state.states.values()
            if each.status == "running" and each.until is not None and not each.answer
        ]
    return min(moments, default=None)


def _due(call: Call) -> datetime | None:
    match call.status:
        case "requested" | "leased":
            return call.deadline
        case "retrying":
            return call.due or AT_ONCE
        case "parked" | "succeeded" | "failed" | "cancelled" | "undone" | "waived":
            return None


def _in_hand(state: Running, id: str, attempt: int) -> Call | None:
    """The call, if this is the attempt that is waited for."""
    call = state.calls.get(id)
    return call if call is not None and call.status in {"requested", "leased"} and call.attempt == attempt else None


def _leased(state: Running, said: CallLeased, now: datetime) -> tuple[Event, ...]:
    """Its time begins when it is begun first: what is taken over from a worker that is gone has what is left."""
    call = _in_hand(state, said.call, said.attempt)
    if call is None or (call.status == "leased" and call.worker == said.worker):
        return ()
    first = now + timedelta(seconds=call.policy.timeout - said.seconds)
    return (Leased(said.call, said.attempt, said.worker, call.deadline if call.status == "leased" else first),)


def _succeeded(state: Running, said: CallSucceeded) -> tuple[Event, ...]:
    """A late result of an earlier attempt is as good as one of the last."""
    call = state.calls.get(said.call)
    if call is None or call.status not in UNSETTLED or said.attempt > call.attempt:
        return ()
    cost = _cost(call.policy, said.seconds, said.cost)
    return (Succeeded(said.call, said.attempt, said.output, said.worker, said.seconds, cost, said.exchanges),)


def _failed(draft: Draft, said: CallFailed) -> tuple[Event, ...]:
    call = _in_hand(draft.state, said.call, said.attempt)
    if call is None:
        return ()
    cost = _cost(call.policy, said.seconds, said.cost)
    lasting = not said.retryable or said.kind in {"invalid", "refused"}
    retry_at = None if lasting else _retry_at(draft, said.call, call)
    draft.say(Failed(said.call, said.attempt, said.kind, said.reason, retry_at, said.worker, said.seconds, cost))
    if retry_at is None:
        give_way(draft, said.call)
    return tuple(draft.events)


def _retry_at(draft: Draft, id: str, call: Call) -> datetime | None:
    used = call.attempt - call.before
    if used >= call.policy.retry.attempts:
        return None
    return draft.world.now + timedelta(seconds=call.policy.retry.pause(used, spread(id, draft.world.drawn)))


def _cost(policy: Policy, seconds: float, reported: float) -> float:
    return reported + policy.cost.per_call + policy.cost.per_second * seconds


def _time_passed(draft: Draft) -> tuple[Event, ...]:
    now = draft.world.now
    until = draft.state.until
    if draft.state.compensating is None and until is not None and now >= until:
        turn_back(draft, "the time of the run is over", "failed")
        return tuple(draft.events)
    for id in draft.state.open:
        moment = _due(draft.state.calls[id])
        if moment is not None and now >= moment:
            _call_due(draft, id)
    if draft.state.compensating is None:
        for name, state in draft.state.states.items():
            if state.status == "running" and state.until is not None and now >= state.until and not state.answer:
                _step_due(draft, name)
    return tuple(draft.events)


def _call_due(draft: Draft, id: str) -> None:
    call = draft.state.calls[id]
    if call.status == "retrying":
        reattempt(draft, id)
        return
    retry_at = _retry_at(draft, id, call)
    if call.status == "requested" and call.kind == "skill":
        reason = f"nobody has begun it within {call.policy.queue_timeout:g} s"
        draft.say(Failed(id, call.attempt, "unserved", reason, retry_at))
    else:
        reason = f"no result after {call.policy.timeout:g} s"
        draft.say(Failed(id, call.attempt, "timeout", reason, retry_at, call.worker))
    if retry_at is None:
        give_way(draft, id)


def _step_due(draft: Draft, name: str) -> None:
    approval = draft.state.steps[name].approval
    if approval is None:
        draft.say(StepCompleted(name, Value()))
    elif approval.otherwise == "approve":
        draft.say(Approved(name, "nobody answered in time", by_default=True))
    else:
        draft.say(Rejected(name, "nobody answered in time", by_default=True))
