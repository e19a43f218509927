"""What every decider has in common: `decide(command, state) -> events | refusal`, `evolve(state, event) -> state`."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import reduce
from types import UnionType
from typing import Any, Generic, TypeVar

import msgspec

C = TypeVar("C")
S = TypeVar("S")
E = TypeVar("E")

ID = r"^[A-Za-z0-9][A-Za-z0-9_-]{0,127}$"
"""Ids of aggregates: one word, safe in a path and in a message subject."""


class Refusal(msgspec.Struct, frozen=True):
    """A command that the business does not allow now. `name` is stable and public; `reason` is for people."""

    name: str
    reason: str


@dataclass(frozen=True)
class Decider(Generic[C, S, E]):
    """One kind of aggregate. `commands`, `states` and `events` are unions of tagged structs.

    `internal` names the commands that only Sagacity itself may give (sagas, other deciders), not people; `opening`
    those that begin an aggregate.
    """

    category: str
    commands: UnionType | type[Any]
    events: UnionType | type[Any]
    states: UnionType | type[Any]
    initial: S
    decide: Callable[[C, S], tuple[E, ...] | Refusal]
    evolve: Callable[[S, E], S]
    internal: tuple[type[Any], ...] = ()
    opening: tuple[type[Any], ...] = ()

    def fold(self, events: Iterable[E], state: S | None = None) -> S:
        return reduce(self.evolve, events, self.initial if state is None else state)
