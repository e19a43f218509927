"""What a run does next, from its state alone: steps begin, are skipped, asked for, chosen, sent back, taken back.

`advance` says everything that can be decided now, `take` (domain/workflow_reports.py) what is made of a report from
outside. Both are pure: the same state and the same world give the same events. Whoever works on a run writes what they
say, folds it, and asks `advance` again after every report; after a crash it loads the state and does the same.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import timedelta
from typing import Any

from domain import expressions
from domain.expressions import Unanswerable, compiled, holds
from domain.workflow import (
    Completed,
    Event,
    Revised,
    Running,
    State,
    StepCompleted,
    StepFailed,
    StepSkipped,
    StepStarted,
    StepState,
    Value,
    is_one_call,
)
from domain.workflow_calls import Asked, Draft, ask, reattempt
from domain.workflow_definition import MOST_ITEMS, Step
from domain.workflow_input import NotAtHand, Scope, World, filled, given, listed
from domain.workflow_joins import finish, give_up_items, go_on_with_items, go_on_with_turns
from domain.workflow_patterns import expanded
from domain.workflow_reports import (
    CallFailed,
    CallLeased,
    CallProgressed,
    CallSucceeded,
    Said,
    TimePassed,
    due,
    take,
)
from domain.workflow_undo import take_back, turn_back

__all__ = [
    "CallFailed",
    "CallLeased",
    "CallProgressed",
    "CallSucceeded",
    "NotAtHand",
    "Said",
    "TimePassed",
    "World",
    "advance",
    "due",
    "expanded",
    "take",
    "to_start",
]

_OVER = frozenset({"succeeded", "failed", "skipped"})


def advance(run: str, state: Running, actor: str, world: World) -> tuple[Event, ...]:
    """Everything that can be decided now; () while it waits. `actor` started the run. Raises NotAtHand."""
    draft = Draft(run, state, world)
    if state.compensating is None and state.cancelling is not None:
        turn_back(draft, state.cancelling, "cancelled")
    for id in draft.state.open:
        if draft.state.calls[id].status == "retrying" and _is_due(draft.state, id, world):
            reattempt(draft, id)
    while draft.state.compensating is None and not draft.over and _round(draft, actor):
        pass
    if draft.state.compensating is not None and not draft.over:
        take_back(draft, actor)
    return tuple(draft.events)


def to_start(state: State) -> tuple[str, ...]:
    """Calls that somebody is to be asked for, and that nobody has in hand yet."""
    return tuple(id for id in state.open if state.calls[id].status == "requested") if isinstance(state, Running) else ()


def _is_due(state: Running, id: str, world: World) -> bool:
    moment = state.calls[id].due
    return moment is None or world.now >= moment


def _round(draft: Draft, actor: str) -> bool:
    """Once through all steps; each comes after those that it needs. Whether work was sent back, so that another round
    may change something."""
    over, begun = True, len(draft.events)
    for name, step in draft.state.steps.items():
        before = draft.state.states[name]
        if before.status == "waiting":
            _begin(draft, actor, name, step)
        elif before.status == "running":
            _go_on(draft, actor, name, step)
        elif before.status == "failed" and before.unsettled:
            give_up_items(draft, name)
        after = draft.state.states[name]
        if after.status == "failed" and step.on_failure != "continue":
            turn_back(draft, f"{name}: {after.reason}", "failed")
            return False
        over = over and after.status in _OVER
    if over:
        _end(draft, actor)
    return any(isinstance(event, Revised) for event in draft.events[begun:])


def _begin(draft: Draft, actor: str, name: str, step: Step) -> None:
    states = draft.state.states
    if any(states[need].status not in _OVER for need in step.needs):
        return
    skipped = [need for need in step.needs if states[need].status == "skipped"]
    if skipped and (step.after == "all" or len(skipped) == len(step.needs)):
        draft.say(StepSkipped(name, f"{', '.join(skipped)} {'were' if len(skipped) > 1 else 'was'} skipped"))
        return
    scope = draft.scope(actor, {"remarks": states[name].remarks})
    try:
        if step.when and not holds(expressions.value(compiled(step.when), scope)):
            draft.say(StepSkipped(name, f"not so: {step.when}"))
        else:
            _start(draft, actor, name, step, scope)
    except Unanswerable as error:
        draft.say(StepFailed(name, error.reason))


def _start(draft: Draft, actor: str, name: str, step: Step, scope: Scope) -> None:
    now = draft.world.now
    if step.approval is not None:
        until = now + timedelta(seconds=step.approval.within) if step.approval.within is not None else None
        question = expressions.text(step.approval.question, scope)
        draft.say(StepStarted(name, question=question, until=until))
    elif step.wait is not None:
        draft.say(StepStarted(name, until=now + timedelta(seconds=step.wait)))
    elif step.each:
        items = listed(step.each, scope, MOST_ITEMS)
        draft.say(StepStarted(name, Value(items), len(items)))
        go_on_with_items(draft, actor, name, step)
    elif step.adaptive is not None:
        draft.say(StepStarted(name))
        go_on_with_turns(draft, actor, name, step, step.adaptive)
    else:
        kind = "skill" if step.skill is not None else "workflow"
        asked = given(step, step.input, draft.state, scope)
        ask(draft, Asked(name, step.skill or step.workflow or "", step.version, asked, kind))
        _go_on(draft, actor, name, step)


def _go_on(draft: Draft, actor: str, name: str, step: Step) -> None:
    state = draft.state.states[name]
    if step.each:
        go_on_with_items(draft, actor, name, step)
    elif step.adaptive is not None:
        go_on_with_turns(draft, actor, name, step, step.adaptive)
    elif step.approval is not None:
        _go_on_with_answer(draft, actor, name, step, state)
    elif step.wait is None and not state.unsettled and state.calls:
        call = draft.state.calls[state.calls[-1]]
        if call.status != "succeeded":
            draft.say(StepFailed(name, call.reason or call.status))
        elif not is_one_call(step):
            finish(draft, actor, name, step, call.output)


def _go_on_with_answer(draft: Draft, actor: str, name: str, step: Step, state: StepState) -> None:
    """Of an approval that may be revised: what is rejected goes back, or has failed."""
    match state.answer:
        case "":
            pass
        case "approved":
            draft.say(StepCompleted(name, state.output))
        case "rejected":
            finish(draft, actor, name, step, state.output)


def _end(draft: Draft, actor: str) -> None:
    state = draft.state
    try:
        output = _output(state, draft.scope(actor, {}))
    except Unanswerable as error:
        turn_back(draft, f"output: {error.reason}", "failed")
    else:
        draft.say(Completed(output, state.cost))


def _output(state: Running, scope: Scope) -> Value:
    if state.output is not None:
        return filled(state.output, scope)
    last = _last(state.steps)
    if len(last) == 1:
        return state.states[last[0]].output
    return Value({name: scope.at(("steps", name, "output")) for name in last})


def _last(steps: Mapping[str, Step]) -> list[str]:
    """Those that no other step needs."""
    needed = set(_all_needs(steps.values()))
    return [name for name in steps if name not in needed]


def _all_needs(steps: Iterable[Step]) -> Iterable[Any]:
    return (need for step in steps for need in step.needs)
