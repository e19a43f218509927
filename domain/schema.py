"""What a record of a domain has to say: fields, when they apply, which values are right, how they are asked for."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, Struct

from domain.decider import ID

Path = Annotated[str, Meta(pattern=r"^[a-z][a-z0-9_]{0,59}(\.[a-z][a-z0-9_]{0,59}){0,3}$")]
Language = Annotated[str, Meta(pattern=r"^[a-z]{2}$")]
"""ISO 639-1."""

Name = Annotated[str, Meta(pattern=ID)]
FieldType = Literal["text", "number", "integer", "amount", "date", "boolean", "choice", "email", "phone", "identifier"]
Value = str | float | bool | None
"""Of a field: dates as YYYY-MM-DD, amounts as a number (the currency is a field of its own), None is missing."""

Short = Annotated[str, Meta(min_length=1, max_length=200)]


class Condition(Struct, frozen=True, forbid_unknown_fields=True):
    """A field applies only when another one has one of these values; with none given, when it is there at all."""

    path: Path
    values: tuple[str | float | bool, ...] = ()


class Field(Struct, frozen=True, forbid_unknown_fields=True):
    """`follows` are fields without which nobody could answer for this one: while one of them is missing this one is
    no root gap. `labels` are words before its value in a text, `questions` how it is asked for, both by language.
    `called` are other words for a choice, in any language. `oldest` and `newest` bound a date, in days from when the
    message was sent (negative: before)."""

    path: Path
    type: FieldType = "text"
    required: bool = True
    weight: Annotated[float, Meta(gt=0, le=1_000)] = 1.0
    applies_when: tuple[Condition, ...] = ()
    follows: tuple[Path, ...] = ()
    minimum: float | None = None
    maximum: float | None = None
    pattern: Annotated[str, Meta(max_length=200)] | None = None
    choices: tuple[Short, ...] = ()
    called: dict[Short, tuple[Short, ...]] = {}
    oldest: float | None = None
    newest: float | None = None
    labels: dict[Language, tuple[Short, ...]] = {}
    questions: dict[Language, Short] = {}


class Rule(Struct, frozen=True, forbid_unknown_fields=True):
    """What several fields say together, checked when all of them are there; broken, each of them is contradictory.

    `order`: each is at most the next one. `sum`: the last is the sum of the others, within `tolerance`. `product`:
    likewise. `equal`: all say the same. `different`: no two do.
    """

    kind: Literal["order", "sum", "product", "equal", "different"]
    paths: Annotated[tuple[Path, ...], Meta(min_length=2, max_length=20)]
    tolerance: Annotated[float, Meta(ge=0)] = 0.005


class Schema(Struct, frozen=True, forbid_unknown_fields=True):
    """`name` is the domain: medical, financial, logistics, or one of the user's own."""

    name: Name
    fields: Annotated[tuple[Field, ...], Meta(min_length=1, max_length=200)]
    rules: Annotated[tuple[Rule, ...], Meta(max_length=200)] = ()
    title: Annotated[str, Meta(max_length=200)] = ""
