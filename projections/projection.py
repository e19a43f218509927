"""What a projection is: tables that are pure folds of the log by key.

The same fold fills the tables, answers `?as_of=` and is what the tests compare the tables with. It sees an event's
envelope and data and the row so far; it has no clock and reads nothing else.
"""

from __future__ import annotations

import ast
import hashlib
import inspect
import textwrap
import types
import typing
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from typing import Any, Generic, TypeVar

import msgspec

from eventstore.envelope import Recorded

R = TypeVar("R", bound=msgspec.Struct)

_COLUMN_TYPES: dict[Any, str] = {
    str: "text",
    int: "bigint",
    float: "double precision",
    bool: "boolean",
    datetime: "timestamptz",
}


class Column(typing.NamedTuple):
    name: str
    type: str
    """The PostgreSQL type; whatever has no type of its own there is jsonb."""


@dataclass(frozen=True)
class Relation(Generic[R]):
    """Rows of `row`, a frozen struct with `id` and `position`. How they come about, say `Table` and `Journal`."""

    name: str
    row: type[R]
    filters: tuple[str, ...] = field(default=(), kw_only=True)
    """Columns that queries may select by; each has an index."""
    indexes: tuple[tuple[str, ...], ...] = field(default=(), kw_only=True)
    """Further ones, by their columns."""
    partial: tuple[str, ...] = field(default=(), kw_only=True)
    """Columns that are mostly empty: filters with an index of the rows where they are not."""
    listed: tuple[tuple[str, str], ...] = field(default=(), kw_only=True)
    """(filter, column): a column with a list of words; the filter selects the rows whose list has a word."""
    full_text: tuple[str, ...] = field(default=(), kw_only=True)
    """Columns of text, or lists of words, which the filter `text` searches together."""

    @cached_property
    def columns(self) -> tuple[Column, ...]:
        hints = typing.get_type_hints(self.row)
        return tuple(Column(name, _column_type(hints[name])) for name in self.row.__struct_fields__)

    @cached_property
    def choices(self) -> dict[str, tuple[str, ...]]:
        """Of the columns that hold one of a few words."""
        hints = typing.get_type_hints(self.row)
        return {name: words for name in hints if (words := _words(hints[name]))}

    @cached_property
    def json_columns(self) -> frozenset[str]:
        return frozenset(column.name for column in self.columns if column.type == "jsonb")


@dataclass(frozen=True)
class Table(Relation[R]):
    """`key` says which row an event changes (None: none), `fold` what that row becomes (None: it goes).

    An event that changes several rows has a mapping for its key: by the key of each row, what `fold` is given for it
    instead of the event's data.
    """

    key: Callable[[Recorded, Any], str | Mapping[str, Any] | None]
    fold: Callable[[R | None, Recorded, Any], R | None]

    def changes(self, event: Recorded, data: Any) -> Iterable[tuple[str, Any]]:
        """(key, what `fold` is given) of each row that an event changes."""
        match self.key(event, data):
            case None:
                return ()
            case str(key):
                return ((key, data),)
            case several:
                return several.items()

    @property
    def rules(self) -> Callable[..., Any]:
        return self.fold


@dataclass(frozen=True)
class Journal(Relation[R]):
    """Every event adds the rows that `told` makes of it, which nothing changes later."""

    told: Callable[[Recorded, Any], Iterable[R]]

    @property
    def rules(self) -> Callable[..., Any]:
        return self.told


AnyTable = Table[Any] | Journal[Any]


@dataclass(frozen=True)
class Projection:
    """A read model: its tables, and the categories of events they are folded from. The first table is the main one."""

    name: str
    categories: frozenset[str]
    tables: tuple[AnyTable, ...]
    version: int = 1
    """To be raised when what it is made of changes its meaning elsewhere: an event, an upcaster."""

    @cached_property
    def fingerprint(self) -> str:
        """Changes with the rows, down to what is nested in them, or with the rules, but not with comments or layout:
        tables that were built by others are built anew."""
        parts = [str(self.version), *sorted(self.categories)]
        for table in self.tables:
            parts += [
                table.name,
                *table.filters,
                *map(str, table.indexes),
                *(f"{name} where there" for name in table.partial),
                *(f"{word} in {name}" for word, name in table.listed),
                *(f"{name} by text" for name in table.full_text),
                msgspec.json.encode(msgspec.json.schema(table.row)).decode(),
            ]
            parts += [f"{column.name} {column.type}" for column in table.columns]
            parts.append(_rules(inspect.getmodule(table.rules) or table.rules))
        return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def stream_id(event: Recorded, data: Any) -> str:
    """The key of a table with one row for each stream."""
    return event.envelope.stream.partition("/")[2]


def _rules(source: Any) -> str:
    return ast.dump(ast.parse(textwrap.dedent(inspect.getsource(source))))


def _words(hint: Any) -> tuple[str, ...]:
    if typing.get_origin(hint) in (typing.Union, types.UnionType):
        return tuple(word for member in typing.get_args(hint) for word in _words(member))
    return typing.get_args(hint) if typing.get_origin(hint) is typing.Literal else ()


def _column_type(hint: Any) -> str:
    if typing.get_origin(hint) in (typing.Union, types.UnionType):
        members = [member for member in typing.get_args(hint) if member is not type(None)]
        return _column_type(members[0]) if len(members) == 1 else "jsonb"
    if typing.get_origin(hint) is typing.Literal:
        return "text"
    return _COLUMN_TYPES.get(hint, "jsonb")
