"""What becomes of a complete record on its way: fields are lost by a mask, and values go wrong. All of it is known."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final, NamedTuple

import numpy as np
from numpy.random import Generator

from benchmarks.quality_rows import Row
from domain.flag import Flag, FlagKind
from domain.record import Reading
from domain.schema import Field, FieldType, Schema
from tests.domain.quality_formula import Expected, Fact, Formula

Flagged = tuple[FlagKind, str | None]
Mask = Callable[[Field, Row, float, Generator], bool]
"""(field, complete row, the median of the field, ...) → whether it is lost."""


class Message(NamedTuple):
    """`lost` are the fields that the mask took, or that were unreadable; `open` those of which nobody can know yet
    whether they apply. `expected` and `flagged` are what there is to be found."""

    schema: Schema
    row: Row
    readings: dict[str, Reading]
    refused: tuple[str, ...]
    flags: tuple[Flag, ...]
    late: bool
    duplicate_of: str | None
    lost: set[str]
    open: set[str]
    expected: Expected
    flagged: set[Flagged]


def _completely_at_random(field: Field, row: Row, median: float, rng: Generator) -> bool:
    return rng.random() < 0.2


def _at_random(field: Field, row: Row, median: float, rng: Generator) -> bool:
    """By the class, which is always there."""
    return field.path != "kind" and rng.random() < (0.35 if str(row["kind"])[-1] in "02468" else 0.1)


def _not_at_random(field: Field, row: Row, median: float, rng: Generator) -> bool:
    """By the value itself: great numbers and late dates are lost more often, and what is true."""
    value = row[field.path]
    great = value if isinstance(value, bool) else isinstance(value, float) and value > median
    return rng.random() < (0.4 if great or (field.type == "date" and str(value) > "2026-06") else 0.1)


MASKS: Final[Mapping[str, Mask]] = {
    "MCAR": _completely_at_random,
    "MAR": _at_random,
    "MNAR": _not_at_random,
}

_OF_ANOTHER_TYPE: Final[dict[FieldType, tuple[str | float | bool, ...]]] = {
    "number": ("about five", True),
    "amount": ("see above", "1.234,50"),
    "date": ("last week", 20261101.0, "12/03/2026"),
    "choice": (3.0, False),
    "boolean": ("perhaps", 1.0),
    "identifier": (12.0, True),
}
_IMPOSSIBLE: Final = ("2026-02-30", "2025-02-29", "2026-13-01", "2026-00-10", "2026-06-31")


class Sending:
    """One row after the other on its way."""

    def __init__(self, schema: Schema, medians: Mapping[str, float], mask: Mask, rng: Generator) -> None:
        self._schema = schema
        self._fields = {field.path: field for field in schema.fields}
        self._medians = medians
        self._mask = mask
        self._rng = rng

    def send(self, row: Row) -> Message:
        rng = self._rng
        facts: dict[str, Fact] = dict.fromkeys(row, "right")
        values, flagged = dict(row), set[Flagged]()
        if rng.random() < 0.15:
            self._contradict(values, facts, flagged)
        lost = {path for path in row if facts[path] == "right" and self._is_lost(path, row)}
        facts |= dict.fromkeys(lost, "missing")
        for path in rng.permutation([path for path, fact in facts.items() if fact == "right"])[: rng.integers(0, 3)]:
            self._spoil(str(path), values, facts, flagged)
        refused = tuple(
            path for path in self._fields if facts.get(path, "missing") == "missing" and rng.random() < 0.05
        )
        return self._message(row, values, facts, refused, flagged)

    def _is_lost(self, path: str, row: Row) -> bool:
        return self._mask(self._fields[path], row, self._medians.get(path, 0.0), self._rng)

    def _contradict(self, values: Row, facts: dict[str, Fact], flagged: set[Flagged]) -> None:
        """A pair, or three: none of them is to be touched again, or nothing would contradict any more."""
        if self._rng.random() < 0.5:
            paths = ("measured_on", "reported_on")
            values["measured_on"], values["reported_on"] = values["reported_on"], values["measured_on"]
        else:
            paths = ("v0", "v1", "total")
            values["total"] = float(values["total"] or 0) + float(
                self._rng.choice([-1, 1]) * self._rng.uniform(0.01, 9)
            )
        facts |= dict.fromkeys(paths, "wrong")
        flagged |= {("contradictory", path) for path in paths}

    def _spoil(self, path: str, values: Row, facts: dict[str, Fact], flagged: set[Flagged]) -> None:
        rng, field = self._rng, self._fields[path]
        kinds: list[FlagKind] = ["wrong_type", "doubtful", "unreadable"]
        if field.type in ("number", "date", "choice"):
            kinds.append("out_of_range")
        kind = kinds[int(rng.integers(len(kinds)))]
        flagged.add((kind, path))
        match kind:
            case "doubtful":
                facts[path] = "doubtful"
            case "unreadable":
                facts[path] = "missing"
            case "wrong_type":
                others = _OF_ANOTHER_TYPE[field.type]
                facts[path], values[path] = "wrong", others[int(rng.integers(len(others)))]
            case _:
                facts[path], values[path] = "wrong", self._out_of_range(field)

    def _out_of_range(self, field: Field) -> str | float:
        rng = self._rng
        if field.type == "choice":
            return "unheard of"
        if field.type == "date":
            far = "2027-01-01" if field.newest is not None else _IMPOSSIBLE[0]
            return (*_IMPOSSIBLE, far)[int(rng.integers(len(_IMPOSSIBLE) + 1))]
        least, most = field.minimum or 0.0, field.maximum or 0.0
        beyond = float(rng.uniform(1e-3, 1)) * (most - least + 1)
        return most + beyond if rng.random() < 0.5 else least - beyond

    def _message(
        self,
        row: Row,
        values: Row,
        facts: dict[str, Fact],
        refused: tuple[str, ...],
        flagged: set[Flagged],
    ) -> Message:
        rng = self._rng
        late, duplicate = rng.random() < 0.05, rng.random() < 0.05
        formula = Formula(self._schema, facts, values, refused)
        blank = [None, "", " "]
        readings = {
            path: Reading(values[path], "text", 0.3 if facts[path] == "doubtful" else 0.9)
            if facts[path] != "missing"
            else Reading(blank[int(rng.integers(3))], "text")
            for path in row
            if facts[path] != "missing" or rng.random() < 0.2
        }
        unreadable = tuple(Flag("unreadable", path) for kind, path in flagged if kind == "unreadable")
        known = {each for each in flagged if each[0] == "unreadable" or formula.applies(each[1] or "") is not False}
        known |= {("refused", path) for path in refused if formula.applies(path) is not False}
        known |= {("late", None)} if late else set()
        known |= {("duplicate", None)} if duplicate else set()
        return Message(
            self._schema,
            row,
            readings,
            refused,
            unreadable,
            late,
            "another" if duplicate else None,
            {path for path in row if facts[path] == "missing"},
            {path for path in self._fields if formula.applies(path) is None},
            formula.expected(),
            known,
        )


def medians_of(schema: Schema, rows: tuple[Row, ...]) -> dict[str, float]:
    numbers = [field.path for field in schema.fields if field.type in ("number", "amount")]
    return {path: float(np.median([float(row[path] or 0) for row in rows if path in row])) for path in numbers}
