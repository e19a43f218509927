"""The formula of docs/quality.md, reckoned in fractions from what is known of each field, and from nothing else."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from fractions import Fraction
from typing import Literal, NamedTuple

from domain.schema import Schema, Value

Fact = Literal["missing", "wrong", "doubtful", "right"]
"""Wrong: of a wrong type, out of range or contradictory."""


class Expected(NamedTuple):
    score: float
    completeness: float
    validity: float
    missing: set[str]
    not_applicable: set[str]
    root_gaps: set[str]


class Formula:
    """Facts and values of one record, by path; paths without a fact are missing."""

    def __init__(
        self, schema: Schema, facts: Mapping[str, Fact], values: Mapping[str, Value], refused: Collection[str] = ()
    ) -> None:
        self._fields = {field.path: field for field in schema.fields}
        self._facts = facts
        self._values = values
        self._refused = refused

    def fact(self, path: str) -> Fact:
        return self._facts.get(path, "missing")

    def applies(self, path: str) -> bool | None:
        """None while nobody can know."""
        met = [self._met(each.path, each.values) for each in self._fields[path].applies_when]
        return False if False in met else None if None in met else True

    def _met(self, path: str, wanted: Collection[Value]) -> bool | None:
        if self.applies(path) is False:
            return False
        if self.fact(path) in ("missing", "wrong"):
            return None if self._fields[path].required else False
        return False if wanted and self._values[path] not in wanted else self.applies(path)

    def is_asked_for(self, path: str) -> bool:
        field = self._fields[path]
        needed = self.fact(path) in ("missing", "wrong") and field.required and self.applies(path) is True
        ready = [self.fact(each) in ("doubtful", "right") and self.applies(each) is not False for each in field.follows]
        return needed and all(ready) and path not in self._refused

    def _share(self, path: str) -> Fraction | None:
        """s; None leaves the sums."""
        fact, applies = self.fact(path), self.applies(path)
        if applies is False or not self._fields[path].required:
            return None
        if applies is None:
            return None if fact == "right" else Fraction(0)
        return {"right": Fraction(1), "doubtful": Fraction(1, 2)}.get(fact, Fraction(0))

    def expected(self) -> Expected:
        shares = {path: share for path in self._fields for share in [self._share(path)] if share is not None}
        weights = {path: Fraction(self._fields[path].weight) for path in shares}
        there = {path for path in shares if self.fact(path) != "missing"}
        right = sum((weights[path] * share for path, share in shares.items()), Fraction(0))
        all_there, total = sum(weights[path] for path in there), sum(weights.values())
        return Expected(
            float(right / total) if total else 1.0,
            float(all_there / total) if total else 1.0,
            float(right / all_there) if all_there else 1.0,
            {path for path in shares if self.fact(path) == "missing"},
            {path for path in self._fields if self.applies(path) is False},
            {path for path in self._fields if self.is_asked_for(path)},
        )
