"""What a call may do: what its skill may, its run grants and its worker allows, all at once."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from domain.skill import Isolation
from skills.skill import Security


def effective(isolation: Isolation, security: Security) -> Isolation:
    """The specification within the security context of the call; never more than either."""
    return Isolation(
        cpu=isolation.cpu,
        memory=isolation.memory,
        network=isolation.network and security.network is not False,
        read=_within(isolation.read, security.read),
        write=_within(isolation.write, security.write),
    )


def stricter(first: Isolation | None, second: Isolation | None) -> Isolation | None:
    """Of what the registry says of a skill and what the worker's own copy says; None: neither isolates it."""
    if first is None or second is None:
        return first or second
    return Isolation(
        cpu=min(first.cpu, second.cpu),
        memory=min(first.memory, second.memory),
        network=first.network and second.network,
        read=_within(first.read, second.read),
        write=_within(first.write, second.write),
    )


def _within(may: tuple[str, ...], granted: tuple[str, ...] | None) -> tuple[str, ...]:
    """Directories in both: of one inside another, the inner one. Links are followed first, or they would lead out."""
    real = [os.path.realpath(path) for path in may]
    if granted is None:
        return tuple(dict.fromkeys(real))
    both = (each for path in real for other in granted for each in _inner(path, os.path.realpath(other)))
    return tuple(dict.fromkeys(both))


def _inner(one: str, other: str) -> Iterator[str]:
    if Path(one).is_relative_to(other):
        yield one
    elif Path(other).is_relative_to(one):
        yield other
