"""One column as it is kept: numbers (float64) or categories (text), null where a value is missing.

Missing is an empty cell, null and NaN. A column is one of numbers when every value that is there is one; true and
false are 1 and 0.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, Final

from domain.pipeline import Value
from models.data.arrow import arrow, compute
from models.data.faults import MOST, Faults

LONGEST: Final = 1_000
"""Characters of a category: longer text is no category, but prose."""

NUMBER: Final = arrow.float64()
CATEGORY: Final = arrow.string()
_MISSING: Final = arrow.array(["", "null", "nan"])

Place = Callable[[int], str]
"""Where a value stands, for people, by its index."""


def from_text(column: Any, place: Place, faults: Faults) -> Any:
    """Of cells that are all text: what looks like a number is one, and `null` and `NaN` in any case are missing."""
    trimmed = compute.utf8_trim_whitespace(column)
    missing = compute.is_in(compute.ascii_lower(trimmed), value_set=_MISSING)
    none = arrow.scalar(None, CATEGORY)
    numbers = _numbers_in(compute.if_else(missing, none, trimmed))
    if numbers is not None:
        return checked_numbers(numbers, place, faults)
    return checked_categories(compute.if_else(missing, none, column), place, faults)


def _numbers_in(texts: Any) -> Any | None:
    try:
        return compute.cast(texts, NUMBER)
    except arrow.ArrowInvalid:
        lowered = compute.ascii_lower(texts)
    true, false = compute.equal(lowered, "true"), compute.equal(lowered, "false")
    return compute.cast(true, NUMBER) if compute.all(compute.or_(true, false)).as_py() else None


def from_values(values: Sequence[bool | Value], place: Place, faults: Faults) -> Any:
    """Of Python values. A column of both numbers and text is one of categories."""
    if {type(value) for value in values} <= {float, bool, type(None)}:
        numbers = [None if value is None else float(value) for value in values]
        return checked_numbers(arrow.array(numbers, NUMBER), place, faults)
    texts = [None if value is None or is_missing(value) else as_text(value) for value in values]
    for index, text in enumerate(texts):
        if text is not None and not is_unicode(text):
            faults.add(f"{place(index)}: half a surrogate pair is no character")
            texts[index] = None
    return checked_categories(arrow.array(texts, CATEGORY), place, faults)


def as_text(value: bool | float | str) -> str:
    """A value as a category or class is named: 1.0, 1 and true, which are one number in a column, are "1"."""
    if isinstance(value, str):
        return value
    return str(int(value)) if value == value // 1 else repr(value)


def is_missing(value: Value) -> bool:
    return value is None or (isinstance(value, float) and math.isnan(value))


def is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def checked_numbers(column: Any, place: Place, faults: Faults) -> Any:
    """NaN becomes missing, and an infinite number is a fault."""
    _add_each(compute.is_inf(column), "is infinite", place, faults)
    return compute.if_else(compute.is_nan(column), arrow.scalar(None, NUMBER), column)


def checked_categories(column: Any, place: Place, faults: Faults) -> Any:
    """Empty text becomes missing; text that is no category is a fault."""
    prose = compute.greater(compute.utf8_length(column), LONGEST)
    _add_each(prose, f"has more than {LONGEST} characters", place, faults)
    _add_each(compute.match_substring(column, "\0"), "contains NUL", place, faults)
    return compute.if_else(compute.equal(column, ""), arrow.scalar(None, CATEGORY), column)


def _add_each(wrong: Any, what: str, place: Place, faults: Faults) -> None:
    count: int = compute.sum(wrong).as_py() or 0
    if not count:
        return
    indices: list[int] = compute.indices_nonzero(wrong).slice(0, MOST).to_pylist()
    for number, index in enumerate(indices, 1):
        faults.add(f"{place(index)}: {what}", of=1 if number < len(indices) else count - len(indices) + 1)
