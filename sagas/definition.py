"""The vocabulary of every saga: what may come next, what can come of it, and what is written down about it.

    plan(state)            -> Decision | Perform | None      what to do now; None: wait for somebody else
    react(state, outcome)  -> Decision                       what to record of what happened

Both are pure. The runner performs, records and asks again; after a crash it loads the state and asks again too,
and gets the same answer. That is all there is to recovery.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import msgspec

from domain import saga
from eventstore.envelope import Recorded


class Told(NamedTuple):
    """A command to an aggregate that belongs to a decision: written with it or not at all."""

    category: str
    id: str
    command: msgspec.Struct


class Decision(NamedTuple):
    """Events of the saga's own stream and commands to aggregates, in one atomic write."""

    events: tuple[saga.Event, ...] = ()
    commands: tuple[Told, ...] = ()


class Perform(msgspec.Struct, frozen=True):
    """Something to do outside: a step of the way forward, or the undo of an effect.

    `key` names the effect (the same key twice has one effect); None for a mere observation. `attempt` says on which
    of the saga's targets.
    """

    step: str
    operation: str
    key: str | None = None
    undo: bool = False
    attempt: int = 1


class Done(msgspec.Struct, frozen=True):
    """It is done, now or before. `reports` are commands that tell what was seen of it, by category and id."""

    what: Perform
    detail: str
    reports: tuple[Told, ...] = ()


class Rejected(msgspec.Struct, frozen=True):
    """It can never be done; nothing will change by trying again."""

    what: Perform
    reason: str


class Stumbled(msgspec.Struct, frozen=True):
    """The attempt failed for a reason that may pass; another follows after `delay` seconds."""

    what: Perform
    attempt: int
    delay: float
    reason: str
    reports: tuple[Told, ...] = ()


class Exhausted(msgspec.Struct, frozen=True):
    """No attempt is left, and nobody knows whether the effect is there."""

    what: Perform
    reason: str


class Unreachable(msgspec.Struct, frozen=True):
    """The place where it should be done cannot be reached, and there is another one."""

    what: Perform
    reason: str


class Heard(msgspec.Struct, frozen=True):
    """An event of the aggregate that the saga serves; it may come late or twice."""

    event: Any


class TimedOut(msgspec.Struct, frozen=True):
    """The durable timer of a step has fired; it may come late, twice, or after the step."""

    timer: str


class Cancelled(msgspec.Struct, frozen=True):
    """People want it undone."""

    reason: str


class Refused(msgspec.Struct, frozen=True):
    """An aggregate refused the command of a decision; nothing of the decision was written."""

    refusal: str
    reason: str


Outcome = Done | Rejected | Stumbled | Exhausted | Unreachable | Heard | TimedOut | Cancelled | Refused


@dataclass(frozen=True)
class SagaDefinition:
    """One kind of saga. `listens` maps an event type to what it means for a saga (its id and an input)."""

    kind: str
    categories: tuple[str, ...]
    listens: Callable[[Recorded, Any], tuple[str, saga.Started | Outcome] | None]
    plan: Callable[[saga.Running], Decision | Perform | None]
    react: Callable[[saga.Running, Outcome], Decision]
    perform: Callable[[saga.Running, Perform], Awaitable[Outcome]]
