"""What reviews and scans find, alike for all of them, so that they can be merged and judged."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated, Final, Literal

from msgspec import Meta, Struct

Severity = Literal["low", "medium", "high"]
SEVERITIES: Final[tuple[Severity, ...]] = ("high", "medium", "low")
"""Worst first."""

WEIGHTS: Final[Mapping[Severity, int]] = {"low": 1, "medium": 3, "high": 10}
_HALVING: Final = 10.0


class Finding(Struct, frozen=True, omit_defaults=True):
    """`file` is relative to the path that was looked at; `line` counts from 1."""

    file: str
    line: int
    rule: str
    severity: Severity
    message: str
    tool: str
    suggestion: str = ""
    kind: Literal["", "bug", "refactoring"] = ""


class Unread(Struct, frozen=True):
    """A file that was not looked at, and why."""

    file: str
    reason: str


class Counts(Struct, frozen=True):
    """How many findings there are of each severity."""

    high: Annotated[int, Meta(ge=0)] = 0
    medium: Annotated[int, Meta(ge=0)] = 0
    low: Annotated[int, Meta(ge=0)] = 0


def ranked(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """Worst first, then by place."""
    return tuple(
        sorted(findings, key=lambda each: (SEVERITIES.index(each.severity), each.file, each.line, each.rule, each.tool))
    )


def counted(findings: Iterable[Finding]) -> Counts:
    return Counts(**Counter(each.severity for each in findings))


def score(findings: Sequence[Finding], lines: int) -> float:
    """Between 0 and 100 (nothing found): it halves where findings weigh 10 for 100 lines, of which a low one weighs 1,
    a medium one 3, a high one 10. Our own measure, to compare versions of the same code."""
    density = 100 * sum(WEIGHTS[each.severity] for each in findings) / max(lines, 1)
    return round(100 / (1 + density / _HALVING), 1)


def without_repeats(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """Of what is told twice, the one that is taken most seriously. Bandit's B602 is Ruff's S602, in other words."""
    kept: dict[tuple[str, int, str, str], Finding] = {}
    for each in ranked(findings):
        rule = f"S{each.rule[1:]}" if each.tool == "bandit" else each.rule
        words = "" if each.tool == "bandit" or rule.startswith("S") else each.message
        kept.setdefault((each.file, each.line, rule, words), each)
    return tuple(kept.values())
