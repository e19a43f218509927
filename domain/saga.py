"""A saga's own stream: what it has done, step by step, and the ledger of its effects on the outside world.

An effect is recorded with its undo *before* it happens. Afterwards it is kept, undone, unknown (to be settled by
asking the target) or waived by a person. A saga cannot end while an effect is open: `evolve` and the deciders of
sagas/ never produce that, and a property test says so.
"""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, Raw, Struct, structs

from domain.decider import Decider, Refusal

EffectStatus = Literal["planned", "kept", "unknown", "undone", "waived"]
OPEN: frozenset[EffectStatus] = frozenset({"planned", "unknown"})
"""Nobody can say whether such an effect is there."""


class Effect(Struct, frozen=True):
    """`key` makes doing it twice harmless; `operation` and `undo` are names of the target port.

    `attempt` says on which of the saga's targets it is.
    """

    key: str
    step: str
    operation: str
    undo: str
    status: EffectStatus = "planned"
    result: str = ""
    attempt: int = 1

    @property
    def closed(self) -> bool:
        """It is not there any more, or nobody will look after it."""
        return self.status in ("undone", "waived")


# People may resume and waive; everything else in this stream is written by the saga itself.
class Resume(Struct, frozen=True, forbid_unknown_fields=True, tag="saga.resume"):
    """Go on where the saga paused."""


class WaiveEffect(Struct, frozen=True, forbid_unknown_fields=True, tag="saga.waive_effect"):
    """Give up on an effect that cannot be undone: a person answers for it from now on."""

    key: Annotated[str, Meta(min_length=1, max_length=300)]
    reason: Annotated[str, Meta(min_length=1, max_length=1000)]


# Event tags are storage: never rename one that has been written.
class Started(Struct, frozen=True, tag="saga.started"):
    """`subject` is the stream the saga serves; `input` is all it will ever need to know of it."""

    kind: str
    subject: str
    steps: tuple[str, ...]
    input: Raw


class StepStarted(Struct, frozen=True, tag="saga.step_started"):
    """`timeout` in seconds, counted from this event's time, 0 for none; `timer` names the durable timer."""

    step: str
    timeout: float
    timer: str


class EffectPlanned(Struct, frozen=True, tag="saga.effect_planned"):
    key: str
    step: str
    operation: str
    undo: str
    attempt: int = 1


class EffectKept(Struct, frozen=True, tag="saga.effect_kept"):
    key: str
    result: str


class EffectUnknown(Struct, frozen=True, tag="saga.effect_unknown"):
    key: str
    reason: str


class EffectUndone(Struct, frozen=True, tag="saga.effect_undone"):
    key: str


class EffectWaived(Struct, frozen=True, tag="saga.effect_waived"):
    key: str
    reason: str


class StepCompleted(Struct, frozen=True, tag="saga.step_completed"):
    step: str
    detail: str


class StepRetried(Struct, frozen=True, tag="saga.step_retried"):
    """The attempt failed for a reason that may pass; the next one follows after `delay` seconds."""

    step: str
    attempt: int
    delay: float
    reason: str


class StepFailed(Struct, frozen=True, tag="saga.step_failed"):
    step: str
    reason: str


class StepsSkipped(Struct, frozen=True, tag="saga.steps_skipped"):
    """They are not needed any more."""

    steps: tuple[str, ...]


class VerdictHeard(Struct, frozen=True, tag="saga.verdict_heard"):
    """The aggregate has judged what the step observed: its verdict by number, and what is decided."""

    step: str
    number: int
    decision: str


class AttemptStarted(Struct, frozen=True, tag="saga.attempt_started"):
    """From the first of these steps, on the next target; what the attempts before have left is undone afterwards."""

    number: int
    target: str
    steps: tuple[str, ...]
    reason: str


class Delivered(Struct, frozen=True, tag="saga.delivered"):
    """The outcome is told; effects of earlier attempts are still to be undone."""


class CompensationStarted(Struct, frozen=True, tag="saga.compensation_started"):
    reason: str


class CompensationFailed(Struct, frozen=True, tag="saga.compensation_failed"):
    """An alarm: the undo of this effect did not work; the saga pauses until a person resumes or waives."""

    key: str
    reason: str


class Paused(Struct, frozen=True, tag="saga.paused"):
    reason: str


class Resumed(Struct, frozen=True, tag="saga.resumed"):
    pass


class Completed(Struct, frozen=True, tag="saga.completed"):
    pass


class Compensated(Struct, frozen=True, tag="saga.compensated"):
    pass


class NotStarted(Struct, frozen=True, tag="not_started"):
    pass


class Running(Struct, frozen=True, tag="running"):
    """`step` is the one under way, with its timeout in seconds; `completed` are those behind it, in order.

    `compensating` and `paused` say why, if so; `stuck` is the key of the effect whose undo has failed. `verdict` is
    the number of the last verdict heard, `waiting` whether it waits for a person. `delivered`: only what earlier
    attempts have left is still to be undone. `stumbled`: what the last attempt at the step came to, if it failed.
    """

    kind: str
    subject: str
    steps: tuple[str, ...]
    input: Raw
    step: str | None = None
    timeout: float = 0.0
    completed: tuple[str, ...] = ()
    effects: tuple[Effect, ...] = ()
    attempts: int = 0
    compensating: str | None = None
    paused: str | None = None
    stuck: str | None = None
    attempt: int = 1
    skipped: tuple[str, ...] = ()
    verdict: int = 0
    waiting: bool = False
    delivered: bool = False
    stumbled: str = ""

    @property
    def remaining(self) -> tuple[str, ...]:
        behind = {*self.completed, *self.skipped}
        return tuple(step for step in self.steps if step not in behind)

    def effect(self, key: str) -> Effect:
        """Raises KeyError for an effect that was never planned."""
        for effect in self.effects:
            if effect.key == key:
                return effect
        raise KeyError(key)


class Ended(Struct, frozen=True, tag="ended"):
    kind: str
    subject: str
    outcome: Literal["completed", "compensated"]
    effects: tuple[Effect, ...]


Command = Resume | WaiveEffect
Event = (
    Started
    | StepStarted
    | EffectPlanned
    | EffectKept
    | EffectUnknown
    | EffectUndone
    | EffectWaived
    | StepCompleted
    | StepRetried
    | StepFailed
    | StepsSkipped
    | VerdictHeard
    | AttemptStarted
    | Delivered
    | CompensationStarted
    | CompensationFailed
    | Paused
    | Resumed
    | Completed
    | Compensated
)
State = NotStarted | Running | Ended


def decide(command: Command, state: State) -> tuple[Event, ...] | Refusal:
    match command, state:
        case _, NotStarted():
            return Refusal("saga_not_found", "there is no such saga")
        case _, Ended(_, _, outcome):
            return Refusal("saga_ended", f"the saga has already ended: {outcome}")
        case Resume(), Running(paused=None):
            return Refusal("saga_not_paused", "the saga is running")
        case Resume(), Running():
            return (Resumed(),)
        case WaiveEffect(key, reason), Running():
            return _waive(key, reason, state)


def _waive(key: str, reason: str, state: Running) -> tuple[Event, ...] | Refusal:
    if key not in {effect.key for effect in state.effects}:
        return Refusal("effect_not_found", f"the saga has no effect {key}")
    if state.effect(key).closed:
        return Refusal("effect_closed", f"the effect is already {state.effect(key).status}")
    effect = state.effect(key)
    left_behind = state.delivered and (effect.attempt < state.attempt or effect.status in OPEN)
    if not left_behind and (state.paused is None or state.stuck != key):
        return Refusal("effect_not_stuck", "only an effect whose undo has failed can be waived")
    return EffectWaived(key, reason), Resumed()


def evolve(state: State, event: Event) -> State:
    match event, state:
        case Started(kind, subject, steps, input), _:
            return Running(kind, subject, steps, input)
        case _, (NotStarted() | Ended()):
            return state
        case StepStarted(step, timeout), Running():
            return structs.replace(state, step=step, timeout=timeout, attempts=0, waiting=False, stumbled="")
        case EffectPlanned(key, step, operation, undo, attempt), Running():
            return structs.replace(state, effects=(*state.effects, Effect(key, step, operation, undo, attempt=attempt)))
        case EffectKept(key, result), Running():
            return _mark(state, key, "kept", result)
        case EffectUnknown(key), Running():
            return _mark(state, key, "unknown")
        case EffectUndone(key), Running():
            return structs.replace(_mark(state, key, "undone"), attempts=0)
        case EffectWaived(key), Running():
            return structs.replace(_mark(state, key, "waived"), attempts=0)
        case StepCompleted(step), Running():
            return structs.replace(state, step=None, completed=(*state.completed, step), attempts=0)
        case StepRetried(_, attempt, _, reason), Running():
            return structs.replace(state, attempts=attempt, stumbled=reason)
        case StepFailed(), Running():
            return state
        case StepsSkipped(steps), Running():
            return structs.replace(state, skipped=(*state.skipped, *steps))
        case VerdictHeard(_, number, decision), Running():
            return structs.replace(state, verdict=number, waiting=decision == "await_approval", attempts=0)
        case AttemptStarted(number, _, steps), Running():
            return structs.replace(
                state, attempt=number, steps=steps, step=None, completed=(), skipped=(), attempts=0, paused=None
            )
        case Delivered(), Running():
            return structs.replace(state, delivered=True, attempts=0)
        case CompensationStarted(reason), Running():
            return structs.replace(state, compensating=reason, step=None, attempts=0, paused=None)
        case CompensationFailed(key), Running():
            return structs.replace(state, stuck=key)
        case Paused(reason), Running():
            return structs.replace(state, paused=reason)
        case Resumed(), Running():
            return structs.replace(state, paused=None, stuck=None, attempts=0)
        case Completed(), Running(kind, subject):
            return Ended(kind, subject, "completed", state.effects)
        case Compensated(), Running(kind, subject):
            return Ended(kind, subject, "compensated", state.effects)


def _mark(state: Running, key: str, status: EffectStatus, result: str | None = None) -> Running:
    effects = tuple(
        structs.replace(effect, status=status, result=effect.result if result is None else result)
        if effect.key == key
        else effect
        for effect in state.effects
    )
    return structs.replace(state, effects=effects)


saga: Decider[Command, State, Event] = Decider("saga", Command, Event, State, NotStarted(), decide, evolve)
