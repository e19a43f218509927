"""What a command comes to when everything it needs was looked up: a share for each aggregate."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple

from domain.decider import Decider

Load = Callable[[Decider[Any, Any, Any], str], Awaitable[Any]]
"""The current state of an aggregate."""


class Part(NamedTuple):
    """One aggregate's share of a command. The first part is the one the command was addressed to."""

    decider: Decider[Any, Any, Any]
    id: str
    command: Any
