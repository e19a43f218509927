"""What follows for a run from what came, with everything that is needed for it at hand."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Final, NamedTuple

from domain import workflow
from domain.workflow import Event, Running, State
from domain.workflow_course import (
    CallFailed,
    CallLeased,
    CallProgressed,
    CallSucceeded,
    NotAtHand,
    TimePassed,
    World,
    advance,
    take,
)
from sagas.workflows.means import Means
from sagas.workflows.values import ValueLost

Said = CallLeased | CallProgressed | CallSucceeded | CallFailed | TimePassed

_REASON: Final = 1_000


class Input(NamedTuple):
    """`checked`: its output is known to be what the skill gives."""

    said: Said
    checked: bool = True


class Decided(NamedTuple):
    """`after` is the state that `events` lead to."""

    events: Sequence[Event]
    after: State


async def decided(
    means: Means, run: str, inputs: Sequence[Input], state: Running, actor: str, moment: datetime
) -> Decided:
    """Of all inputs together, in their order. Raises ValueLost, LogUnavailable, WriteTooLarge."""
    said = [await _checked(means, each, state, moment) for each in inputs]
    while True:
        try:
            found = _decide(means, run, said, state, actor, moment)
            break
        except NotAtHand as missing:
            await means.values.fetch(missing.value)
    stored = await means.values.stored(found.events)
    return found if stored is found.events else Decided(stored, folded(state, stored))


async def succeeded(means: Means, run: str, inputs: Sequence[Input], state: Running, moment: datetime) -> Decided:
    """Which calls have, by the inputs; nothing of what follows from it. Raises LogUnavailable, WriteTooLarge."""
    results = [each for each in inputs if isinstance(each.said, CallSucceeded)]
    said = [await _checked(means, each, state, moment) for each in results]
    taken = _taken(means, run, [each for each in said if isinstance(each, CallSucceeded)], state, moment)
    stored = await means.values.stored(taken.events)
    return Decided(stored, folded(state, stored))


def folded(state: State, events: Sequence[Event]) -> State:
    for event in events:
        state = workflow.evolve(state, event)
    return state


def _decide(means: Means, run: str, said: Sequence[Said], state: Running, actor: str, moment: datetime) -> Decided:
    """Raises NotAtHand."""
    events, after = _taken(means, run, said, state, moment)
    if not isinstance(after, Running):
        return Decided(events, after)
    more = advance(run, after, actor, _world(means, moment))
    return Decided([*events, *more], folded(after, more))


def _taken(means: Means, run: str, said: Sequence[Said], state: Running, moment: datetime) -> Decided:
    """Raises NotAtHand."""
    world = _world(means, moment)
    events: list[Event] = []
    after: State = state
    for each in said:
        if isinstance(after, Running):
            more = take(run, after, each, world)
            after = folded(after, more)
            events += more
    return Decided(events, after)


def _world(means: Means, moment: datetime) -> World:
    known = means.known
    return World(moment, means.drawn(), known.skills.states, known.definitions.states, means.values.at_hand)


async def _checked(means: Means, input: Input, state: Running, moment: datetime) -> Said:
    """An output that its skill does not give is a failure; what fails when its time is over, fails for that."""
    said = input.said
    if isinstance(said, CallFailed):
        call = state.calls.get(said.call)
        is_late = call is not None and call.attempt == said.attempt and moment >= call.deadline
        return TimePassed() if is_late else said
    if not isinstance(said, CallSucceeded) or input.checked:
        return said
    call = state.calls.get(said.call)
    specification = means.known.specification(call.skill, call.version) if call is not None else None
    if specification is None or not specification.output:
        return said
    try:
        faults = means.checks.faults(specification.output, await means.values.get(said.output))
    except ValueLost as error:
        faults = [str(error)]
    if not faults:
        return said
    reason = f"what it gives is not what it says: {'; '.join(faults)}"[:_REASON]
    return CallFailed(
        said.call, said.attempt, "error", reason, worker=said.worker, seconds=said.seconds, cost=said.cost
    )
