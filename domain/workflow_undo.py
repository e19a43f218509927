"""How a run that cannot or must not go on comes to its end: what is under way is given up, and what has succeeded is
taken back, the last first, one after the other.
"""

from __future__ import annotations

from typing import Literal

from domain.expressions import Unanswerable
from domain.workflow import Call, CallCancelled, Cancelled, CompensationStarted, RunFailed, Running
from domain.workflow_calls import Asked, Draft, ask, refuse
from domain.workflow_definition import Compensation
from domain.workflow_input import filled


def turn_back(draft: Draft, reason: str, outcome: Literal["failed", "cancelled"]) -> None:
    """That it turns back is said first: where only this is on the record, `take_back` gives up the rest."""
    open = draft.state.open
    draft.say(CompensationStarted(reason, outcome))
    cancel(draft, open, reason)


def cancel(draft: Draft, calls: tuple[str, ...], reason: str) -> None:
    draft.say(*(CallCancelled(call, reason) for call in calls))


def take_back(draft: Draft, actor: str) -> None:
    """As far as it can go now: to the end where nothing is left."""
    forward = tuple(id for id in draft.state.open if draft.state.calls[id].undo is None)
    cancel(draft, forward, draft.state.compensating or "")
    while not draft.state.open:
        found = _next(draft.state)
        if found is None:
            draft.say(_end(draft.state))
            return
        _undo(draft, actor, *found)


def _next(state: Running) -> tuple[str, Call, Compensation] | None:
    """The last that succeeded and is there still."""
    best: tuple[str, Call, Compensation] | None = None
    for id, call in state.calls.items():
        compensation = state.steps[call.step].compensate
        if call.status != "succeeded" or call.undo is not None or compensation is None:
            continue
        if best is None or call.place > best[1].place:
            best = id, call, compensation
    return best


def _undo(draft: Draft, actor: str, id: str, call: Call, compensation: Compensation) -> None:
    near = {"result": call.output, "given": call.input}
    asked = Asked(call.step, compensation.skill, compensation.version, call.input, item=call.item, undo=id)
    try:
        ask(draft, asked._replace(input=filled(compensation.input, draft.scope(actor, near))))
    except Unanswerable as error:
        refuse(draft, asked, "invalid", error.reason)


def _end(state: Running) -> RunFailed | Cancelled:
    undone = sum(call.status == "undone" for call in state.calls.values())
    reason = state.compensating or ""
    match state.ending:
        case "failed":
            return RunFailed(reason, undone, state.cost)
        case "cancelled":
            return Cancelled(reason, undone, state.cost)
