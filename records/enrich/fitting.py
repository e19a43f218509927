"""What of an enrichment is on the record: an event has at most a megabyte, and a message has up to 100 attachments."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, TypeVar

from msgspec import json

from domain.flag import Flag
from domain.record import Found, SkillRun
from records.enrich.content import Table

TEXTS: Final = 200_000
TABLES: Final = 150_000
ENTITIES: Final = 150_000
FLAGS: Final = 60_000
RUNS: Final = 60_000
"""Bytes as JSON, of all parts of a message together."""

LONGEST_HERE: Final = 20_000
BEGINNING: Final = 1_000
"""Characters of a text that is here whole, and of the beginning of one that is not."""

T = TypeVar("T", Found, Flag, SkillRun)


class TextRoom:
    """Texts are here whole as long as there is room for them, in the order of the message."""

    def __init__(self) -> None:
        self._left = TEXTS

    def place(self, text: str) -> tuple[str, bool]:
        """What of it is here, and whether that is all."""
        if len(text) <= LONGEST_HERE and self._spend(text):
            return text, True
        beginning = text[:BEGINNING]
        return (beginning if self._spend(beginning) else ""), False

    def _spend(self, text: str) -> bool:
        size = len(json.encode(text))
        if size > self._left:
            return False
        self._left -= size
        return True


def fitted(items: Iterable[T], most: int) -> tuple[tuple[T, ...], bool]:
    """The first ones that have room in so many bytes, and whether there are others."""
    kept: list[T] = []
    for item in items:
        most -= len(json.encode(item)) + 1
        if most < 0:
            return tuple(kept), True
        kept.append(item)
    return tuple(kept), False


def fitted_tables(tables: Iterable[Table], most: int) -> tuple[tuple[Table, ...], bool]:
    """The same of tables: of the last one that has room, the first rows."""
    kept: list[Table] = []
    for table in tables:
        rows: list[tuple[str, ...]] = []
        for row in table:
            most -= len(json.encode(row)) + 1
            if most < 0:
                return (*kept, tuple(rows)) if rows else tuple(kept), True
            rows.append(row)
        kept.append(tuple(rows))
    return tuple(kept), False
