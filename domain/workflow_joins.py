"""What a step of many calls comes to: items of a list side by side, one skill chosen after the other, and whether the
result is good enough to go on with.
"""

from __future__ import annotations

from math import ceil
from typing import Any, Final

from domain import expressions
from domain.expressions import Unanswerable, compiled, holds
from domain.workflow import Chosen, Revised, Running, StepCompleted, StepFailed, Value
from domain.workflow_calls import MOST_CALLS, Asked, Draft, ask, is_spent, refuse
from domain.workflow_definition import Adaptive, Candidate, Partial, Step
from domain.workflow_input import Scope, filled, given, valued
from domain.workflow_undo import cancel

_ROUNDING: Final = 1e-9
"""A share of 0.7 of 10 items is 7 of them."""


def go_on_with_items(draft: Draft, actor: str, name: str, step: Step) -> None:
    """Ask for more, as far as they may run side by side; or end, when enough of them are over."""
    least, enough = _needed(step.partial, draft.state.states[name].count)
    while True:
        state = draft.state.states[name]
        failed = state.asked - state.unsettled - state.good
        if state.count - failed < least:
            reason = f"{failed} of {state.count} items failed, {least} must succeed: {_last_reason(draft.state, name)}"
            draft.say(StepFailed(name, reason))
            give_up_items(draft, name)
            return
        if state.good >= enough or (state.asked == state.count and not state.unsettled):
            cancel(draft, _open(draft.state, name), "enough items have succeeded")
            _complete(draft, actor, name, step)
            return
        if state.asked == state.count or state.unsettled >= step.parallel:
            return
        _ask_item(draft, actor, name, step, state.asked, _items(draft, name)[state.asked])


def give_up_items(draft: Draft, name: str) -> None:
    """Of a step that has failed without them."""
    cancel(draft, _open(draft.state, name), "too many items have failed")


def go_on_with_turns(draft: Draft, actor: str, name: str, step: Step, adaptive: Adaptive) -> None:
    """Once nobody is asked: the goal, or the next skill; at once another where that one is not to be had."""
    try:
        while (state := draft.state.states[name]).status == "running" and not state.unsettled:
            _turn(draft, actor, name, step, adaptive)
    except Unanswerable as error:
        draft.say(StepFailed(name, error.reason))


def finish(draft: Draft, actor: str, name: str, step: Step, raw: Value) -> None:
    """`raw` is what the step gave. It is done, or goes back, or has failed."""
    scope = draft.scope(actor, {**_near(draft, name, step), "result": raw})
    try:
        if step.revise is not None and not holds(expressions.value(compiled(step.revise.until), scope)):
            _not_good_enough(draft, name, step, raw, scope)
        else:
            draft.say(StepCompleted(name, _output(step, raw, scope)))
    except Unanswerable as error:
        draft.say(StepFailed(name, error.reason))


def outcomes(draft: Draft, name: str) -> list[dict[str, Any]]:
    """Of a step with `each`, one for each item that was asked for, in their order."""
    state = draft.state.states[name]
    items = _items(draft, name)
    found: dict[int, dict[str, Any]] = {}
    for id in state.calls:
        call = draft.state.calls[id]
        good = call.status == "succeeded"
        found[call.item] = {
            "index": call.item,
            "item": items[call.item],
            "output": _read(draft, call.output) if good else None,
            "error": None if good else call.reason or call.status,
            "skill": call.skill,
        }
    return [found[item] for item in sorted(found)]


def _needed(partial: Partial, count: int) -> tuple[int, int]:
    """How many must succeed at least, and how many are enough."""
    enough = min(partial.enough if partial.enough is not None else count, count)
    return min(ceil(partial.share * count - _ROUNDING), enough), enough


def _ask_item(draft: Draft, actor: str, name: str, step: Step, index: int, item: Any) -> None:
    member = _member(step, item)
    kind = "skill" if step.skill is not None else "workflow"
    version = step.version if member is None else None
    asked = Asked(name, member or step.skill or step.workflow or "", version, Value(item), kind, index)
    if step.input is None:
        ask(draft, asked)
        return
    near = {"item": item, "index": index, "remarks": draft.state.states[name].remarks}
    try:
        asked = asked._replace(input=filled(step.input, draft.scope(actor, near)))
    except Unanswerable as error:
        refuse(draft, asked, "invalid", error.reason)
    else:
        ask(draft, asked)


def _member(step: Step, item: Any) -> str | None:
    """Of the team, that the item asks for by name."""
    wanted = expressions.walked(item, ("skill",))
    return wanted if wanted in step.team else None


def _complete(draft: Draft, actor: str, name: str, step: Step) -> None:
    state = draft.state.states[name]
    results: list[Any] = [None] * state.count
    for id in state.calls:
        call = draft.state.calls[id]
        if call.status == "succeeded":
            results[call.item] = _read(draft, call.output)
    finish(draft, actor, name, step, Value(results))


def _turn(draft: Draft, actor: str, name: str, step: Step, adaptive: Adaptive) -> None:
    state = draft.state.states[name]
    turns = _turns(draft, name)
    last = turns[-1] if turns else {}
    near = {**_near(draft, name, step), "turns": turns, "result": last.get("output")}
    scope = draft.scope(actor, near)
    if turns and holds(expressions.value(compiled(adaptive.goal), scope)):
        draft.say(Chosen(name, state.turns + 1, {}, None, "the goal is reached"))
        finish(draft, actor, name, step, Value(last.get("output")))
        return
    if state.turns >= adaptive.at_most:
        draft.say(StepFailed(name, f"the goal is not reached after {state.turns} turns"))
        return
    failed = {turn["skill"] for turn in turns if turn["error"] is not None}
    scored = [(each, _score(each, scope)) for each in adaptive.candidates if _stands(each, failed, scope)]
    scores = {each.skill: score for each, score in reversed(scored)}
    if not scored:
        draft.say(Chosen(name, state.turns + 1, {}, None, "no candidate is left"))
        draft.say(StepFailed(name, f"no candidate is left: {last.get('error') or 'no condition holds'}"))
        return
    chosen, score = max(scored, key=lambda one: one[1])
    draft.say(Chosen(name, state.turns + 1, scores, chosen.skill, f"the highest score: {score:g}"))
    template = chosen.input if chosen.input is not None else step.input
    ask(draft, Asked(name, chosen.skill, chosen.version, given(step, template, draft.state, scope)))


def _stands(candidate: Candidate, failed: set[str], scope: Scope) -> bool:
    if candidate.skill in failed:
        return False
    return not candidate.when or holds(expressions.value(compiled(candidate.when), scope))


def _score(candidate: Candidate, scope: Scope) -> float:
    score = expressions.value(compiled(candidate.score), scope)
    if isinstance(score, bool) or not isinstance(score, (int, float)):
        raise Unanswerable(f"the score of {candidate.skill} is no number")
    return float(score)


def _turns(draft: Draft, name: str) -> list[dict[str, Any]]:
    """By the skill that was chosen, whoever stood in for it."""
    turns: list[dict[str, Any]] = []
    for id in draft.state.states[name].calls:
        call = draft.state.calls[id]
        good = call.status == "succeeded"
        told = {
            "skill": turns.pop()["skill"] if call.instead_of is not None else call.skill,
            "output": _read(draft, call.output) if good else None,
            "error": None if good else call.reason or call.status,
        }
        turns.append(told)
    return turns


def _near(draft: Draft, name: str, step: Step) -> dict[str, Any]:
    near: dict[str, Any] = {"remarks": draft.state.states[name].remarks}
    if step.each and "outcomes" in step.output + (step.revise.until if step.revise is not None else ""):
        near["outcomes"] = outcomes(draft, name)
    if step.adaptive is not None:
        near["turns"] = _turns(draft, name)
    return near


def _output(step: Step, raw: Value, scope: Scope) -> Value:
    return valued(step.output, scope) if step.output else raw


def _not_good_enough(draft: Draft, name: str, step: Step, raw: Value, scope: Scope) -> None:
    revise = step.revise
    round = draft.state.states[name].round
    if revise is None:
        return
    # Going back without a call is no end either: items there may be none.
    endless = is_spent(draft.state) or len(draft.events) >= MOST_CALLS
    if round <= revise.at_most and not endless:
        steps = between(draft.state, revise.back_to, name)
        draft.say(Revised(name, revise.back_to, steps, round + 1, raw))
    elif revise.otherwise == "accept":
        draft.say(StepCompleted(name, _output(step, raw, scope)))
    else:
        draft.say(StepFailed(name, f"not good enough after {round - 1} revisions"))


def between(state: Running, first: str, last: str) -> tuple[str, ...]:
    """The steps from `first` up to `last`, in their order: those that need the one and are needed by the other."""
    after = {first}
    for name, step in state.steps.items():
        if not after.isdisjoint(step.needs):
            after.add(name)
    before = {last}
    for name in reversed(state.steps):
        if name in before and name != first:
            before.update(state.steps[name].needs)
    return tuple(name for name in state.steps if name in after and name in before)


def _items(draft: Draft, name: str) -> list[Any]:
    return _read(draft, draft.state.states[name].items or Value([]))


def _open(state: Running, name: str) -> tuple[str, ...]:
    return tuple(id for id in state.open if state.calls[id].step == name and state.calls[id].undo is None)


def _last_reason(state: Running, name: str) -> str:
    failed = [state.calls[id].reason for id in state.states[name].calls if state.calls[id].status == "failed"]
    return failed[-1] if failed else "none could be asked"


def _read(draft: Draft, value: Value) -> Any:
    return draft.world.value(value) if value.hash else value.inline
