"""What a projection is: tables that are pure folds of the log by key.

The same fold fills the tables, answers `?as_of=` and is what the tests compare the tables with. It sees an event's
envelope and data and the row so far; it has no clock and reads nothing else.
"""

from __future__ import annotations

import hashlib
import inspect
import types
import typing
from collections.abc import Callable
from dataclasses import dataclass
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
class Table(Generic[R]):
    """Rows of `row` (a frozen struct with `id` and `position`), one a key.

    `key` says which row an event changes (None: none), `fold` what the row becomes.
    """

    name: str
    row: type[R]
    key: Callable[[Recorded, Any], str | None]
    fold: Callable[[R | None, Recorded, Any], R | None]
    filters: tuple[str, ...] = ()
    """Columns that queries may select by; each has an index."""

    @cached_property
    def columns(self) -> tuple[Column, ...]:
        hints = typing.get_type_hints(self.row)
        return tuple(Column(name, _column_type(hints[name])) for name in self.row.__struct_fields__)


@dataclass(frozen=True)
class Projection:
    """A read model: its tables, and the categories of events they are folded from. The first table is the main one."""

    name: str
    categories: frozenset[str]
    tables: tuple[Table[Any], ...]

    @cached_property
    def fingerprint(self) -> str:
        """Changes with the rows or the rules: tables that were built by others are built anew."""
        parts = [f"{column.name} {column.type}" for table in self.tables for column in table.columns]
        rules = [inspect.getsource(inspect.getmodule(table.fold) or table.fold) for table in self.tables]
        return hashlib.sha256("\n".join([*parts, *rules]).encode()).hexdigest()


def _column_type(hint: Any) -> str:
    if typing.get_origin(hint) in (typing.Union, types.UnionType):
        members = [member for member in typing.get_args(hint) if member is not type(None)]
        return _column_type(members[0]) if len(members) == 1 else "jsonb"
    if typing.get_origin(hint) is typing.Literal:
        return "text"
    return _COLUMN_TYPES.get(hint, "jsonb")
