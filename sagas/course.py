"""The course of a rollout: what each step does to its target, in which order, and how that is undone. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, NamedTuple

import msgspec

from domain.deployment import RolloutPolicy
from domain.environment import LiveRelease, Target
from domain.stack import ReleaseSpec
from domain.strategy import Canary, RollingUpdate, Strategy, declared, kind_of, steps_of

UNDO: Final = {"allocate": "free", "start": "stop", "switch": "switch_back", "retire": "unretire"}
"""Of every operation with an effect."""

_BASELINE: Final = "b"


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
    strategy: Strategy = "switch_over"
    fallbacks: tuple[Target, ...] = ()
    instances: int = 1
    previous_target: Target | None = None

    @property
    def front(self) -> str:
        """The name of the traffic entry, the same for every release of the stack in the environment."""
        return f"{self.environment_id}--{self.stack_id}"

    @property
    def canary(self) -> Canary:
        """Raises ValueError for another strategy: its plan has no step that needs one."""
        strategy = declared(self.strategy)
        if not isinstance(strategy, Canary):
            raise ValueError(f"{self.deployment_id} is no canary")
        return strategy

    @property
    def targets(self) -> tuple[Target, ...]:
        return (self.target, *self.fallbacks)


class Action(NamedTuple):
    """One effect on a target, with what its operation needs.

    allocate: nothing · start: `release` at `allocation` · switch: `weights` by start key · retire: `retires`.
    """

    operation: str
    key: str
    allocation: str = ""
    release: ReleaseSpec | None = None
    weights: Mapping[str, int] = {}
    retires: str = ""


def effect_key(deployment_id: str, what: str, instance: int | str = 1, attempt: int = 1) -> str:
    """The idempotency key of an effect: the same in every process, for ever.

    What is special stands last, so that no id of another deployment can lead to the same key.
    """
    number = "" if instance == 1 else f"-{instance}"
    again = "" if attempt == 1 else f"-t{attempt}"
    return f"{deployment_id}-{what}{number}{again}"


def start_keys(live: LiveRelease) -> tuple[str, ...]:
    """The releases that a live one consists of."""
    return tuple(effect_key(live.deployment_id, "start", n, live.attempt) for n in range(1, live.instances + 1))


class Attempt(NamedTuple):
    """A rollout on one of its targets; `number` counts from 1."""

    rollout: Rollout
    number: int

    @property
    def target(self) -> Target:
        return self.rollout.targets[self.number - 1]

    @property
    def previous(self) -> LiveRelease | None:
        """The release that is live on this target."""
        live = self.rollout.previous
        return live if live is not None and live.target == self.target.name else None

    @property
    def elsewhere(self) -> LiveRelease | None:
        """The release that is live on another target."""
        return self.rollout.previous if self.previous is None else None

    @property
    def steps(self) -> tuple[str, ...]:
        here, elsewhere = self.previous is not None, self.elsewhere is not None
        return steps_of(self.rollout.strategy, self.rollout.instances, here, elsewhere)

    @property
    def live(self) -> LiveRelease:
        """What has the traffic when this attempt is complete."""
        rollout = self.rollout
        return LiveRelease(
            rollout.deployment_id, rollout.version, self.target.name, rollout.instances, self.number, rollout.release
        )

    def key(self, what: str, instance: int | str = 1) -> str:
        return effect_key(self.rollout.deployment_id, what, instance, self.number)

    def starts(self) -> tuple[str, ...]:
        return start_keys(self.live)

    def replaced(self) -> tuple[str, ...]:
        return start_keys(self.previous) if self.previous else ()

    @property
    def baselines(self) -> tuple[str, ...]:
        """The start keys of the fresh instances of the old release, as many as of the new one, or none."""
        if "baseline" not in self.steps:
            return ()
        return tuple(self.key("start", each) for each in self.baseline_numbers)

    @property
    def baseline_numbers(self) -> tuple[str, ...]:
        """b, b2, b3 …"""
        return tuple(_BASELINE if n == 1 else f"{_BASELINE}{n}" for n in range(1, self.rollout.instances + 1))


def actions(attempt: Attempt, step: str) -> tuple[Action, ...]:
    """The effects of a step, in order; none for a step that only looks."""
    strategy = declared(attempt.rollout.strategy)
    if isinstance(strategy, RollingUpdate) and step != kind_of(step):
        return _batch(attempt, strategy.batch, kind_of(step), int(step.rpartition("-")[2]))
    everyone = range(1, attempt.rollout.instances + 1)
    match kind_of(step):
        case "allocate":
            return tuple(_allocate(attempt, number) for number in everyone)
        case "start":
            return tuple(_start(attempt, number, attempt.rollout.release) for number in everyone)
        case "baseline" if attempt.previous and attempt.previous.release:
            release = attempt.previous.release
            numbers = attempt.baseline_numbers
            return (*(_allocate(attempt, n) for n in numbers), *(_start(attempt, n, release) for n in numbers))
        case "canary" if isinstance(strategy, Canary):
            return (_canary_switch(attempt, strategy, step),)
        case "switch":
            return (Action("switch", attempt.key("switch"), weights=dict.fromkeys(attempt.starts(), 1)),)
        case "retire":
            return _retire(attempt)
        case _:
            return ()


def watched(attempt: Attempt, step: str) -> tuple[str, ...]:
    """The start keys whose health a step waits for."""
    strategy = declared(attempt.rollout.strategy)
    if step == "baseline-health":
        return attempt.baselines
    if isinstance(strategy, RollingUpdate):
        return tuple(attempt.key("start", n) for n in _instances(attempt, strategy.batch, int(step.rpartition("-")[2])))
    return attempt.starts()


def roles(attempt: Attempt, strategy: Canary, step: str) -> dict[str, int]:
    """The weights of a canary's step in percent, by role."""
    weight = strategy.steps[int(step.rpartition("-")[2]) - 1].weight
    if not attempt.baselines:
        return {"canary": weight, "stable": 100 - weight}
    return {"canary": weight, "stable": 100 - 2 * weight, "baseline": weight}


def aftermath(attempt: Attempt) -> tuple[Action, ...]:
    """What is left to do when the outcome is told: the release that was live on another target goes."""
    if attempt.elsewhere is None:
        return ()
    return tuple(
        Action("retire", attempt.key("retire", number), retires=key)
        for number, key in enumerate(start_keys(attempt.elsewhere), 1)
    )


def _allocate(attempt: Attempt, instance: int | str) -> Action:
    return Action("allocate", attempt.key("allocate", instance))


def _start(attempt: Attempt, instance: int | str, release: ReleaseSpec) -> Action:
    key = attempt.key("start", instance)
    return Action("start", key, allocation=attempt.key("allocate", instance), release=release)


def _canary_switch(attempt: Attempt, strategy: Canary, step: str) -> Action:
    """Canary first, baseline last: a sticky splitter then moves nobody back while both shares grow."""
    percent = roles(attempt, strategy, step)
    mine, old = attempt.starts(), attempt.replaced()
    weights = {key: percent["canary"] * len(old) for key in mine}
    weights |= {key: percent["stable"] * len(mine) for key in old}
    weights |= {key: percent["baseline"] * len(old) for key in attempt.baselines}
    return Action("switch", attempt.key("switch", step.rpartition("-")[2] + "-c"), weights=weights)


def _retire(attempt: Attempt) -> tuple[Action, ...]:
    old = [(number, key) for number, key in enumerate(attempt.replaced(), 1)]
    baseline = zip(attempt.baseline_numbers, attempt.baselines, strict=False)
    return tuple(Action("retire", attempt.key("retire", each), retires=key) for each, key in (*baseline, *old))


def _instances(attempt: Attempt, batch: int, number: int) -> range:
    first = (number - 1) * batch + 1
    return range(first, min(first + batch, attempt.rollout.instances + 1))


def _batch(attempt: Attempt, batch: int, kind: str, number: int) -> tuple[Action, ...]:
    mine = _instances(attempt, batch, number)
    match kind:
        case "allocate":
            return tuple(_allocate(attempt, instance) for instance in mine)
        case "start":
            return tuple(_start(attempt, instance, attempt.rollout.release) for instance in mine)
        case "switch":
            keys = (*attempt.starts()[: mine.stop - 1], *attempt.replaced()[_gone(attempt, mine.stop - 1) :])
            return (Action("switch", attempt.key("switch", f"{number}-r"), weights=dict.fromkeys(keys, 1)),)
        case "retire":
            gone = range(_gone(attempt, mine.start - 1), _gone(attempt, mine.stop - 1))
            old = attempt.replaced()
            return tuple(Action("retire", attempt.key("retire", each + 1), retires=old[each]) for each in gone)
        case _:
            return ()


def _gone(attempt: Attempt, up: int) -> int:
    """How many of the old instances are replaced when so many of the new ones are up."""
    return len(attempt.replaced()) * up // attempt.rollout.instances
