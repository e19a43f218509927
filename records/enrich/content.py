"""What reading yields, and what is told to a reading process and back."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cache
from importlib.metadata import PackageNotFoundError, version

from msgspec import Struct

from domain.flag import Flag
from domain.record import Found, SkillRun
from records.enrich import limits

Table = tuple[tuple[str, ...], ...]


class NotReadable(Exception):
    """The document is broken, or more than may be read. The message is the reason, for people."""


class NotAvailable(Exception):
    """What would read it is not installed here, or nothing here reads this kind of document."""


class Part(Struct, frozen=True):
    """One document, or one inside it: then `path` is where. `media` is set where it can only be listened to."""

    path: str
    method: str
    text: str = ""
    tables: tuple[Table, ...] = ()
    flags: tuple[Flag, ...] = ()
    runs: tuple[SkillRun, ...] = ()
    media: str | None = None


class Read(Struct, frozen=True, tag=True):
    """`whole` is false where `content` is only the beginning. Answered by Contents."""

    path: str
    media_type: str
    content: bytes
    whole: bool = True


class Find(Struct, frozen=True, tag=True):
    """Entities in a text of this language. Answered by Entities."""

    text: str
    language: str
    origin: str


class Contents(Struct, frozen=True, tag=True):
    parts: tuple[Part, ...]


class Entities(Struct, frozen=True, tag=True):
    found: tuple[Found, ...]
    more: bool


class Broken(Struct, frozen=True, tag=True):
    """The document was too much for the process, which ends itself."""

    reason: str


Task = Read | Find
Answer = Contents | Entities | Broken


class Collected:
    """Text and tables of one document, as far as they are kept."""

    def __init__(self) -> None:
        self.tables: list[Table] = []
        self.remarks: list[str] = []
        self._texts: list[str] = []
        self._room = limits.LONGEST_TEXT

    @property
    def full(self) -> bool:
        return self._room <= 0

    @property
    def text(self) -> str:
        return "\n".join(self._texts)

    def add(self, text: str) -> None:
        text = clean(text)
        if len(text) >= self._room:
            self.doubt(f"only the first {limits.LONGEST_TEXT} characters are kept")
        if text.strip() and self._room > 0:
            self._texts.append(text[: self._room])
        self._room -= len(text) + 1

    def add_table(self, rows: Iterable[Sequence[object]]) -> None:
        """Its first rows and columns; what is all empty is no table."""
        if len(self.tables) == limits.TABLES:
            return self.doubt(f"only the first {limits.TABLES} tables are kept as tables")
        kept: list[tuple[str, ...]] = []
        for row in rows:
            if len(kept) == limits.TABLE_ROWS:
                self.doubt(f"only the first {limits.TABLE_ROWS} rows of a table are kept as a table")
                break
            kept.append(tuple(cell_text(cell) for cell in row[: limits.TABLE_COLUMNS]))
        if any(any(row) for row in kept):
            self.tables.append(tuple(kept))

    def doubt(self, remark: str) -> None:
        if remark not in self.remarks:
            self.remarks.append(remark)


def cell_text(value: object) -> str:
    return "" if value is None else clean(str(value)).strip()[: limits.LONGEST_CELL]


def clean(text: str) -> str:
    """Without what no JSON and no database takes."""
    return text.replace("\0", "").encode("utf-8", "replace").decode("utf-8")


@cache
def version_of(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "1"
