"""What a run may spend still: its budget, less what calls have cost, less what is set aside for those under way.

Set aside is what is known when a call is asked for: what its skill costs per call, and what a sub-workflow was given.
What skills cost per second, or report themselves, is known when they are over, and may go beyond the budget once: then
nothing more is asked for, but what takes back.
"""

from __future__ import annotations

from typing import Final

from domain.workflow import Call, Policy, Running
from domain.workflow_definition import Step

_ROUNDING: Final = 1e-9
"""A budget of 0.3 is enough for three times 0.1."""


def spent(state: Running) -> str | None:
    """Why nothing is asked for any more, if so."""
    if state.budget is None or state.cost < state.budget:
        return None
    return f"the budget of {state.budget:g} is spent"


def unaffordable(state: Running, policy: Policy, besides: str = "") -> str | None:
    """Why a call is not asked for on these terms, if so. `besides`: the call itself, where it is there already."""
    price, rest = policy.cost.per_call, left(state, besides)
    if rest is None or not price or price <= rest + _ROUNDING:
        return None
    return f"it costs {price:g}, and of the budget of {state.budget:g} there is {max(0.0, rest):g} left"


def left(state: Running, besides: str = "") -> float | None:
    """Of the budget; below 0 where more was spent. None: there is no limit."""
    if state.budget is None:
        return None
    return state.budget - state.cost - sum(_set_aside(state.calls[id]) for id in state.open if id != besides)


def share(state: Running, name: str, *, is_new: bool) -> float | None:
    """What the sub-workflow that the step asks for now is given: an equal part of what is left for each that is asked
    for beside it, and each other step that may yet ask for something before this one is over. `is_new`: it is not one
    that is begun anew."""
    rest = left(state)
    if rest is None:
        return None
    step, known = state.steps[name], state.states[name]
    more = min(step.parallel - known.unsettled, known.count - known.asked) if step.each and is_new else 1
    return max(0.0, rest) / (max(1, more) + _beside(state, name))


def _set_aside(call: Call) -> float:
    """What is parked waits for a person, perhaps for ever: it is looked at again when it is tried again."""
    if call.status == "parked":
        return 0.0
    return call.policy.cost.per_call if call.kind == "skill" else call.policy.budget or 0.0


def _beside(state: Running, name: str) -> int:
    """Steps; those that come after this one have what it leaves."""
    later, found = {name}, 0
    for other, step in state.steps.items():
        if not later.isdisjoint(step.needs):
            later.add(other)
        elif other != name:
            found += _may_ask(step, state.states[other].status)
    return found


def _may_ask(step: Step, status: str) -> bool:
    """What runs as a workflow has been given its part."""
    asks = step.skill is not None or step.adaptive is not None or step.workflow is not None
    return asks and (status == "waiting" or (status == "running" and step.workflow is None))
