"""Whether a value is right for its field, by itself: of its type, within its bounds."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Collection
from datetime import date
from math import prod
from typing import Final, Literal

from domain import text_pattern
from domain.schema import Field, FieldType, Value

Fault = tuple[Literal["wrong_type", "out_of_range"], str]
Checker = Callable[[Value, date], Fault | None]
"""(a value that is there, the day on which the message was sent) → what is wrong with it, as the end of a sentence."""

NUMBERS: Final[Collection[FieldType]] = ("number", "integer", "amount")
TEXTS: Final[Collection[FieldType]] = ("text", "identifier", "email", "phone")

_GREATEST: Final = sys.float_info.max
_EXACT: Final = 2.0**53
"""Beyond it a number cannot tell an integer from its neighbour."""

_DATE: Final = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)
_FORMS: Final[dict[FieldType, re.Pattern[str]]] = {
    "email": re.compile(r"(?=.{3,254}$)[^@\s]{1,64}@[^@\s.]+(\.[^@\s.]+)+"),
    "phone": re.compile(r"\+[1-9]\d{6,14}", re.ASCII),
    "identifier": re.compile(r"(?=[^\w]*\w)[^\x00-\x1f\x7f]{1,200}"),
}
"""A phone number is one of E.164; an identifier one line with a letter or a digit in it."""

_FEW: Final = 1_000
"""Ways through a pattern that `re`, which tries them one after the other, may have to walk."""


def is_missing(value: Value) -> bool:
    return value is None or (type(value) is str and (not value or value.isspace()))


def checker(field: Field) -> Checker:
    """Raises ValueError for a pattern that is not sound."""
    match field.type:
        case "number" | "amount" | "integer":
            return _number(field)
        case "date":
            return _date(field)
        case "boolean":
            return _boolean
        case "choice":
            return _choice(field)
        case "text" | "identifier" | "email" | "phone":
            return _text(field)


def _number(field: Field) -> Checker:
    least = -_GREATEST if field.minimum is None else field.minimum
    most = _GREATEST if field.maximum is None else field.maximum
    whole = field.type == "integer"

    def check(value: Value, sent_on: date) -> Fault | None:
        if not isinstance(value, (float, int)) or value is True or value is False:
            return "wrong_type", f"{_shown(value)} is no number"
        if not -_GREATEST <= value <= _GREATEST:  # neither is what is not a number at all
            return "wrong_type", f"{_shown(value)} is no finite number"
        if whole and not (abs(value) < _EXACT and value == int(value)):
            return "wrong_type", f"{_shown(value)} is no whole number"
        if value < least:
            return "out_of_range", f"{value:g} is below {least:g}"
        return ("out_of_range", f"{value:g} is above {most:g}") if value > most else None

    return check


def _date(field: Field) -> Checker:
    oldest, newest = field.oldest, field.newest

    def check(value: Value, sent_on: date) -> Fault | None:
        if not isinstance(value, str):
            return "wrong_type", f"{_shown(value)} is no date as YYYY-MM-DD"
        day = _day(value)
        if day is None:
            kind = "out_of_range" if _DATE.fullmatch(value) else "wrong_type"
            return kind, f"{_shown(value)} is no day of the calendar, as YYYY-MM-DD"
        age = (day - sent_on).days
        if oldest is not None and age < oldest:
            return "out_of_range", f"{value} is more than {-oldest:g} days before {sent_on}"
        if newest is not None and age > newest:
            return "out_of_range", f"{value} is more than {newest:g} days after {sent_on}"
        return None

    return check


def _day(value: str) -> date | None:
    """Of other ISO 8601 notations `fromisoformat` knows some, by the version of Python."""
    if len(value) != 10 or value[4] != "-" or value[7] != "-":
        return None
    try:
        return date.fromisoformat(value)
    except ValueError:
        return None


def _boolean(value: Value, sent_on: date) -> Fault | None:
    return None if value is True or value is False else ("wrong_type", f"{_shown(value)} is neither true nor false")


def _choice(field: Field) -> Checker:
    choices = frozenset(field.choices)

    def check(value: Value, sent_on: date) -> Fault | None:
        if not isinstance(value, str):
            return "wrong_type", f"{_shown(value)} is no text"
        return None if value in choices else ("out_of_range", f"{_shown(value)} is none of {', '.join(field.choices)}")

    return check


def _text(field: Field) -> Checker:
    form, kind = _FORMS.get(field.type), field.type
    matches = None if field.pattern is None else _matcher(field.pattern)

    def check(value: Value, sent_on: date) -> Fault | None:
        if not isinstance(value, str):
            return "wrong_type", f"{_shown(value)} is no text"
        if form is not None and not form.fullmatch(value):
            return "wrong_type", f"{_shown(value)} is no {kind}"
        if matches is not None and not matches(value):
            return "wrong_type", f"{_shown(value)} is not of the form {field.pattern}"
        return None

    return check


def _matcher(pattern: str) -> Callable[[str], bool]:
    """`re` is a hundred times as fast as our own walk, where it cannot be led astray: the longest of the repetitions
    is tried at most once for each way through the others."""
    parts = text_pattern.parts_of(pattern)
    ways = sorted((text_pattern.LONGEST if most is None else most) - least + 1 for _, least, most in parts)
    if prod(ways[:-1]) <= _FEW:
        compiled = re.compile(pattern, re.ASCII | re.DOTALL)
        return lambda text: len(text) <= text_pattern.LONGEST and compiled.fullmatch(text) is not None
    return lambda text: len(text) <= text_pattern.LONGEST and text_pattern.matches(parts, text)


def _shown(value: Value) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
