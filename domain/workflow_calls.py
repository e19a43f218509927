"""Asking: of whom, in which version, on which terms, and what comes after a call that has failed for good."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Any, Final, Literal, NamedTuple

from domain import skill
from domain.skill import RetryPolicy, Specification
from domain.workflow import (
    Call,
    CallCancelled,
    Event,
    Failed,
    Parked,
    Policy,
    Reattempted,
    Requested,
    Routed,
    Running,
    Value,
    evolve,
)
from domain.workflow_budget import share, spent, unaffordable
from domain.workflow_definition import Step
from domain.workflow_input import Scope, World

MOST_CALLS: Final = 10_000
"""Of one run, apart from those that take back."""
DEEPEST: Final = 8
"""Runs that a run may be within."""
LONGEST_CALL: Final = 120
"""Characters of the id of a call that is the id of a run: its own calls need room."""
_LONG: Final = 366 * 86_400.0
"""Seconds for a sub-workflow without a limit of its own: it has an end by its definition, or people wait for it."""


class Draft:
    """What is decided so far, and the state that follows from it. `over` once the run has ended."""

    __slots__ = ("events", "over", "run", "state", "world")

    def __init__(self, run: str, state: Running, world: World) -> None:
        self.run = run
        self.state = state
        self.world = world
        self.events: list[Event] = []
        self.over = False

    def say(self, *events: Event) -> None:
        for event in events:
            self.events.append(event)
            after = evolve(self.state, event)
            if isinstance(after, Running):
                self.state = after
            else:
                self.over = True

    def scope(self, actor: str, near: Mapping[str, Any]) -> Scope:
        return Scope(self.run, actor, self.state, self.world.value, near)


class Asked(NamedTuple):
    """`version` None: as the shares have it."""

    step: str
    skill: str
    version: str | int | None
    input: Value
    kind: Literal["skill", "workflow"] = "skill"
    item: int = -1
    undo: str | None = None
    instead_of: str | None = None


class Route(NamedTuple):
    """`open_until`: nobody is to be asked before that, for all circuits are open."""

    specification: Specification
    routed: Routed | None = None
    open_until: datetime | None = None


def ask(draft: Draft, asked: Asked) -> None:
    """Always says that it was asked for; where that cannot be, that it has failed too, and what comes of that."""
    fault = _forbidden(draft.state, asked)
    if asked.undo is None and is_spent(draft.state):
        refuse(draft, asked, "invalid", f"a run has at most {MOST_CALLS} calls")
    elif fault is not None:
        refuse(draft, asked, "refused", fault)
    elif asked.kind == "workflow":
        _ask_workflow(draft, asked)
    else:
        _ask_skill(draft, asked)


def refuse(draft: Draft, asked: Asked, kind: Literal["refused", "invalid"], reason: str) -> None:
    """Nobody is asked. A person may see to it where the step has it so, and must for what is not taken back."""
    id = _next(draft)
    draft.say(_requested(id, asked, "", draft.world.now, Policy()), Failed(id, 1, kind, reason))
    parks = kind == "refused" and draft.state.steps[asked.step].on_failure == "park"
    if asked.undo is not None or parks:
        draft.say(Parked(id, reason))


def give_way(draft: Draft, id: str) -> None:
    """After a call has failed for good: to its fallback, or to a person."""
    call = draft.state.calls[id]
    fallback = call.policy.fallback
    if fallback is not None and fallback not in _tried(draft.state, call):
        ask(draft, Asked(call.step, fallback, None, call.input, "skill", call.item, call.undo, id))
    elif call.undo is not None or draft.state.steps[call.step].on_failure == "park":
        draft.say(Parked(id, call.reason))


def reattempt(draft: Draft, id: str) -> None:
    """Another attempt of a call that waits for it, now."""
    call = draft.state.calls[id]
    if call.undo is not None and not call.version:
        # Nobody was ever asked, perhaps for want of an input: whoever takes back asks anew.
        draft.say(CallCancelled(id, "asked for anew"))
        return
    if call.kind == "workflow":
        # Its run has the id of the call, and is over: another run is another call.
        version = draft.state.steps[call.step].version
        draft.say(CallCancelled(id, "asked for anew"))
        ask(draft, Asked(call.step, call.skill, version, call.input, "workflow", call.item, instead_of=id))
        return
    pinned = _pinned(draft.state, call)
    again = Asked(call.step, call.skill, pinned, call.input, undo=call.undo)
    route = _forbidden(draft.state, again) or routed(id, call.skill, pinned, draft.world)
    if isinstance(route, str):
        draft.say(Failed(id, call.attempt, "refused", route))
        give_way(draft, id)
        return
    policy = _policy(route.specification, draft.state.steps[call.step], undo=call.undo is not None)
    fault = unaffordable(draft.state, policy, id) if call.undo is None else None
    if fault is not None:
        draft.say(Failed(id, call.attempt, "refused", fault))
        give_way(draft, id)
        return
    if route.open_until is not None:
        _stand_off(draft, id, route.open_until, policy)
        return
    deadline = draft.world.now + timedelta(seconds=policy.queue_timeout)
    version = route.specification.version
    draft.say(Reattempted(id, call.attempt, version, deadline, policy, route.routed))


def routed(id: str, name: str, version: str | None, world: World) -> Route | str:
    """The version for a call; the same call gets the same one as long as nothing changes. A text says why none."""
    known = world.skills.get(name)
    if known is None:
        return f"there is no skill {name}"
    if version is not None:
        return _of_version(known, name, version, world.now)
    weights = known.routable()
    if not weights:
        return f"no version of the skill {name} is given any work"
    closed = {each: weight for each, weight in weights.items() if not _is_open(known.versions[each], world.now)}
    chosen = _drawn(id, closed or weights)
    record = None if len(weights) == 1 else Routed(weights, "by share" if len(closed) == len(weights) else "circuit")
    specification = known.versions[chosen].specification
    if closed:
        return Route(specification, record)
    moments = [known.versions[each].open_until for each in weights]
    return Route(specification, record, min(moment for moment in moments if moment is not None))


def spread(id: str, drawn: float) -> float:
    """Calls that fail in the same moment are not to be tried again in the same moment."""
    return (drawn + _share(id)) % 1.0


def is_spent(state: Running) -> bool:
    """It has made all the calls that a run may make."""
    return len(state.calls) >= MOST_CALLS


def depth_of(state: Running) -> int:
    """How many runs it is within."""
    return state.parent.depth if state.parent is not None else 0


def lineage(state: Running) -> tuple[str, ...]:
    """The definitions of the runs that it is within, the outermost first, and its own."""
    return (*(state.parent.within if state.parent is not None else ()), state.definition)


def _circle(state: Running, name: str) -> str:
    names = lineage(state)
    return " -> ".join((*names[names.index(name) :], name))


def _forbidden(state: Running, asked: Asked) -> str | None:
    if asked.kind == "skill" and state.grants.skills is not None and asked.skill not in state.grants.skills:
        return f"the run may not use the skill {asked.skill}"
    return spent(state) if asked.undo is None else None


def _ask_workflow(draft: Draft, asked: Asked) -> None:
    id = _next(draft)
    known = draft.world.definitions.get(asked.skill)
    if known is None or known.withdrawn:
        what = "there is no workflow" if known is None else "withdrawn is the workflow"
        refuse(draft, asked, "refused", f"{what} {asked.skill}")
        return
    # What a person has begun anew is to be as it is now.
    pinned = draft.state.pinned.get(asked.skill) if asked.instead_of is None else None
    version = asked.version or pinned or known.latest
    if version not in known.versions:
        refuse(draft, asked, "refused", f"the workflow {asked.skill} has no version {version}")
        return
    if asked.skill in lineage(draft.state):
        refuse(draft, asked, "refused", f"it would begin itself: {_circle(draft.state, asked.skill)}")
        return
    if len(id) > LONGEST_CALL or depth_of(draft.state) >= DEEPEST:
        refuse(draft, asked, "refused", f"workflows within workflows are nested too deeply: at most {DEEPEST}")
        return
    seconds = draft.state.steps[asked.step].timeout or _LONG
    budget = share(draft.state, asked.step, is_new=asked.instead_of is None)
    if budget is not None and budget <= 0:
        refuse(draft, asked, "refused", f"of the budget of {draft.state.budget:g} nothing is left for it")
        return
    policy = Policy(timeout=seconds, lease=seconds, retry=RetryPolicy(attempts=1), budget=budget)
    deadline = draft.world.now + timedelta(seconds=seconds)
    draft.say(_requested(id, asked, str(version), deadline, policy))


def _ask_skill(draft: Draft, asked: Asked) -> None:
    id = _next(draft)
    pinned = str(asked.version) if asked.version is not None else None
    route = routed(id, asked.skill, pinned, draft.world)
    if isinstance(route, str):
        refuse(draft, asked, "refused", route)
        return
    policy = _policy(route.specification, draft.state.steps[asked.step], undo=asked.undo is not None)
    fault = unaffordable(draft.state, policy) if asked.undo is None else None
    if fault is not None:
        refuse(draft, asked, "refused", fault)
        return
    deadline = draft.world.now + timedelta(seconds=policy.queue_timeout)
    draft.say(_requested(id, asked, route.specification.version, deadline, policy, route.routed))
    if route.open_until is not None:
        _stand_off(draft, id, route.open_until, policy)


def _stand_off(draft: Draft, id: str, until: datetime, policy: Policy) -> None:
    """From a skill whose circuits are open: its fallback is asked at once; without one it waits, and loses nothing."""
    call = draft.state.calls[id]
    reason = f"the circuit of {call.skill} is open"
    if policy.fallback is not None and policy.fallback not in _tried(draft.state, call):
        draft.say(Failed(id, call.attempt, "circuit_open", reason))
        give_way(draft, id)
    else:
        draft.say(Failed(id, call.attempt, "circuit_open", reason, until + _apart(draft, id, until, policy)))


def _apart(draft: Draft, id: str, until: datetime, policy: Policy) -> timedelta:
    """The first that waits for the circuit is tried soon after it may be; each other one of the run has more time to
    hear how that went, and they do not come all at once."""
    calls, name = (draft.state.calls[each] for each in draft.state.open), draft.state.calls[id].skill
    ahead = sum(each.skill == name and each.due is not None and each.due >= until for each in calls)
    # The pause has its length long before: this only keeps the power within what a float can be.
    return timedelta(seconds=policy.retry.pause(min(ahead, 50) + 1, spread(id, draft.world.drawn)))


def _requested(
    id: str, asked: Asked, version: str, deadline: datetime, policy: Policy, routed: Routed | None = None
) -> Requested:
    return Requested(
        id,
        asked.step,
        asked.kind,
        asked.skill,
        version,
        asked.input,
        deadline,
        policy,
        asked.item,
        asked.undo,
        asked.instead_of,
        routed,
    )


def _next(draft: Draft) -> str:
    return f"{draft.run}-{len(draft.state.calls) + 1}"


def _tried(state: Running, call: Call) -> set[str]:
    """Skills that were asked for the same before, one instead of the other."""
    tried = {call.skill}
    while call.instead_of is not None:
        call = state.calls[call.instead_of]
        tried.add(call.skill)
    return tried


def _pinned(state: Running, call: Call) -> str | None:
    """The version that the definition asks for."""
    step = state.steps[call.step]
    if call.instead_of is not None:
        return None
    if call.undo is not None:
        return step.compensate.version if step.compensate is not None else None
    if step.adaptive is not None:
        return next((each.version for each in step.adaptive.candidates if each.skill == call.skill), None)
    return str(step.version) if step.version is not None and step.skill == call.skill else None


def _policy(specification: Specification, step: Step, *, undo: bool) -> Policy:
    return Policy(
        specification.timeout if undo or step.timeout is None else step.timeout,
        _LONG if specification.scaling == "scheduled" else specification.queue_timeout,
        specification.lease,
        specification.retry if undo or step.retry is None else step.retry,
        specification.fallback,
        specification.isolation,
        specification.effects,
        specification.cost,
    )


def _of_version(known: skill.Known, name: str, version: str, now: datetime) -> Route | str:
    offered = known.versions.get(version)
    if offered is None:
        return f"the skill {name} has no version {version}"
    if offered.retired:
        return f"version {version} of the skill {name} is retired"
    return Route(offered.specification, None, offered.open_until if _is_open(offered, now) else None)


def _is_open(offered: skill.Offered, now: datetime) -> bool:
    return offered.open_until is not None and now < offered.open_until


def _drawn(id: str, weights: Mapping[str, int]) -> str:
    if len(weights) == 1:
        return next(iter(weights))
    left = _share(id) * sum(weights.values())
    for version, weight in weights.items():
        left -= weight
        if left < 0:
            return version
    return max(weights)  # what rounding has left


def _share(id: str) -> float:
    """From 0 to below 1, evenly, always the same for an id."""
    return int.from_bytes(sha256(id.encode()).digest()[:6], "big") / 2**48
