"""What a run was asked to do, in few characters: enough to tell whether it is asked for the same again."""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import sha256
from typing import Any, Final

import msgspec

_LENGTH: Final = 12
"""Characters of a mark: 48 bits. People do not forge requests against themselves."""


def marks(**asked: Any) -> dict[str, str]:
    """Of each part by its name; what is not asked for (None, or empty) has none. Equal JSON has equal marks, whatever
    the order of its names."""
    return {name: _mark(part) for name, part in asked.items() if part is not None and part != {}}


def differing(before: Mapping[str, str], again: Mapping[str, str]) -> list[str]:
    """The names of the parts that are not the same, in order."""
    return [name for name in dict.fromkeys([*again, *before]) if before.get(name) != again.get(name)]


def _mark(part: Any) -> str:
    return sha256(msgspec.json.encode(part, order="sorted")).hexdigest()[:_LENGTH]
