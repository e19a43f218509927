"""What a search for entities yields, before it is decided what overlaps what."""

from __future__ import annotations

from typing import Literal, NamedTuple

EntityKind = Literal["amount", "date", "party", "email", "phone", "identifier", "url"]


class Hit(NamedTuple):
    """`value` is canonical; `begin` and `end` are characters of the text."""

    begin: int
    end: int
    kind: EntityKind
    value: str
