"""What is wrong with a record or one of its fields, by kind."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

FlagKind = Literal[
    "unreadable",
    "contradictory",
    "doubtful",
    "duplicate",
    "late",
    "wrong_type",
    "out_of_range",
    "refused",
    "unavailable",
]
"""`refused`: the sender will not say. `unavailable`: what would read it is not installed or configured here."""


class Flag(Struct, frozen=True):
    """`path` is the field or the attachment concerned, None for the whole record."""

    kind: FlagKind
    path: str | None = None
    detail: str = ""
