"""What several fields say together."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from math import fsum, prod
from typing import Any

from domain.schema import Rule

Holds = Callable[[Sequence[Any]], bool]
"""Of the values of a rule's fields, in its order, each of them right by itself."""


def holding(rule: Rule) -> Holds:
    tolerance = rule.tolerance
    match rule.kind:
        case "order":  # dates as YYYY-MM-DD are ordered as texts
            return lambda values: all(earlier <= later for earlier, later in pairwise(values))
        case "sum":
            return lambda values: _close(fsum(values[:-1]), values[-1], tolerance)
        case "product":
            return lambda values: _close(prod(values[:-1]), values[-1], tolerance)
        case "equal":
            return lambda values: all(_same(values[0], other, tolerance) for other in values[1:])
        case "different":
            return lambda values: len(set(values)) == len(values)


def said(rule: Rule) -> str:
    """The rule in words."""
    *first, last = rule.paths
    match rule.kind:
        case "order":
            return " <= ".join(rule.paths)
        case "sum":
            return f"{' + '.join(first)} = {last}"
        case "product":
            return f"{' x '.join(first)} = {last}"
        case "equal":
            return " = ".join(rule.paths)
        case "different":
            return f"no two of {', '.join(rule.paths)} are the same"


def _same(one: Any, other: Any, tolerance: float) -> bool:
    if isinstance(one, float | int) and isinstance(other, float | int):
        return _close(one, other, tolerance)
    return one == other


def _close(one: float, other: float, tolerance: float) -> bool:
    """What is lost in adding floats is no contradiction."""
    return abs(one - other) <= tolerance + 1e-12 * abs(other)
