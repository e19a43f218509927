"""What is not as it should be after a rollout that a fault has met, in words; nothing when all is."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import msgspec

from domain import canary, saga
from domain.analysis import recompute
from domain.environment import Placement
from domain.strategy import Canary, declared
from sagas.course import start_keys
from sagas.targets.port import TargetUnreachable
from tests.sagas.faults import Fault, UnrulyTarget


class Picture(NamedTuple):
    """Everything that a rollback restores: what runs where, how each front is split, and what is on record as live."""

    runs: dict[str, tuple[str, ...]]
    weights: dict[str, dict[str, int]]
    placement: Placement


def right_outcomes(fault: Fault, hits: int, cancelled: bool) -> tuple[str, ...]:
    """A fault that passes, is fallen back from or never met leaves a rollout complete; any other undoes it."""
    falls_back = fault.error is TargetUnreachable and fault.fallback and not fault.everywhere
    match fault.kind:
        case "no answer" if not hits:
            return "completed", "rolled_back"  # a step may be late on a busy machine without it
        case "undo" | "cancelled":
            return ("rolled_back",) if cancelled else ("completed",)
        case "lasts" if fault.person == "resume" or falls_back:
            return ("completed",)
        case "none" | "passes":
            return ("completed",)
        case _:
            return ("rolled_back",) if hits else ("completed",)


def misplaced(id: str, fault: Fault, outcome: str, before: Picture, after: Picture) -> list[str]:
    """A rollout that is complete is all there is; one that was rolled back has never been."""
    match outcome:
        case "rolled_back":
            return [] if after == before else [f"{after} instead of {before}"]
        case "completed":
            return _not_live(id, fault, after)
        case _:
            return []


def _not_live(id: str, fault: Fault, after: Picture) -> list[str]:
    live = after.placement.live
    if live is None or live.deployment_id != id or after.placement.rollout is not None:
        return [f"{after.placement} is on record"]
    starts = tuple(sorted(start_keys(live)))
    runs = {place: starts if place == live.target else () for place in after.runs}
    found = [] if after.runs == runs and len(starts) == fault.instances else [f"{after.runs} runs"]
    right = after.weights[live.target] == dict.fromkeys(starts, 1)
    return found if right else [*found, f"the front is split {after.weights[live.target]}"]


async def unsettled(ended: saga.State, targets: Mapping[str, UnrulyTarget]) -> list[str]:
    """The ledger of effects agrees with the targets, and leaves nothing open."""
    if not isinstance(ended, saga.Ended):
        return [f"the saga has not ended: {ended}"]
    found = [f"{each.key} is {each.status}" for each in ended.effects if each.status not in ("kept", "undone")]
    for effect in ended.effects:
        states = [(await target.effect(effect.key)).state for target in targets.values()]
        if ("kept" in states) != (effect.status == "kept"):
            found.append(f"{effect.key} is {effect.status}, says the saga, and there: {states}")
    return found


def done_twice(targets: Mapping[str, UnrulyTarget]) -> list[str]:
    acts = [(place, *act) for place, target in targets.items() for act in target.acts]
    return [f"{act} was done twice" for number, act in enumerate(acts) if act in acts[:number]]


def wrong_verdicts(events: Sequence[msgspec.Struct]) -> list[str]:
    """They are numbered without gaps, and each can be computed again from nothing but its own counts."""
    verdicts = [event for event in events if isinstance(event, canary.Judged)]
    found = [] if [v.number for v in verdicts] == list(range(1, len(verdicts) + 1)) else ["verdicts are missing"]
    strategy = declared(events[0].strategy)
    if isinstance(strategy, Canary) and strategy.analysis:
        wrong = [v for v in verdicts if recompute(v.judgement.tests, strategy.analysis) != v.judgement]
        found += [f"verdict {verdict.number} cannot be computed again" for verdict in wrong]
    return found
