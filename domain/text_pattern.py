"""Patterns of text that are matched in a time which grows with the text, whatever the pattern: people may give them.

The part of regular expressions without groups, alternatives and look-around: characters, `.`, classes (`\\d \\w \\s`,
in ASCII) and sets (`[a-z_]`), each repeated as `?`, `*`, `+`, `{n}`, `{n,}` or `{n,m}` says. All of the text must
match.
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple

LONGEST: Final = 1_000
"""Characters of a repetition; texts are as long at most."""

_PART: Final = re.compile(r"(\\[^A-Za-z0-9]|\\[dDwWsS]|\[\^?(?:\\.|[^\\\[\]])+\]|[^\\\[\](){}*+?|^$])")
_REPEAT: Final = re.compile(r"\{(\d{1,4})(?:(,)(\d{1,4})?)?\}|[*+?]")
_RESERVED: Final = re.compile(r"--|&&|~~|\|\|")
"""What may come to mean something else in a set (Python's `re` says so)."""


class Part(NamedTuple):
    """One character after the other, `least` to `most` times; None is without end."""

    character: re.Pattern[str]
    least: int
    most: int | None


def parts_of(pattern: str) -> tuple[Part, ...]:
    """Raises ValueError, which says what is wrong and where."""
    parts: list[Part] = []
    at = 0
    while at < len(pattern):
        found = _PART.match(pattern, at)
        if found is None:
            raise ValueError(
                f"character {at + 1} ({pattern[at]!r}) cannot stand there: escape it with \\ to mean itself"
            )
        least, most, end = _repetition(pattern, found.end())
        parts.append(Part(_character(found[0]), least, most))
        at = end
    return tuple(parts)


def _character(text: str) -> re.Pattern[str]:
    if _RESERVED.search(text):
        raise ValueError(f"the set {text!r} names a character twice")
    try:
        return re.compile(text, re.ASCII | re.DOTALL)
    except re.error as error:
        raise ValueError(f"the set {text!r}: {error.msg}") from error


def _repetition(pattern: str, at: int) -> tuple[int, int | None, int]:
    """(least, most, where it ends)"""
    found = _REPEAT.match(pattern, at)
    if found is None:
        return 1, 1, at
    symbols: dict[str, tuple[int, int | None]] = {"?": (0, 1), "*": (0, None), "+": (1, None)}
    if found[0] in symbols:
        return (*symbols[found[0]], found.end())
    least = int(found[1])
    most = (int(found[3]) if found[3] else None) if found[2] else least
    if least > LONGEST or (most is not None and not least <= most <= LONGEST):
        raise ValueError(f"the repetition {found[0]} is not from fewer to more, up to {LONGEST}")
    return least, most, found.end()


def matches(parts: tuple[Part, ...], text: str) -> bool:
    """Bit i of `reached` says that the parts so far match the first i characters: all ways are walked at once, none
    twice (Thompson's simulation, on the bits of an integer)."""
    reached = 1
    for character, least, most in parts:
        fitting = sum(1 << i for i, each in enumerate(text) if character.match(each))
        for _ in range(least):
            reached = (reached & fitting) << 1
        further = reached
        for _ in range(len(text) if most is None else most - least):
            further = (further & fitting) << 1
            if not further:
                break
            reached |= further
    return bool(reached >> len(text) & 1)
