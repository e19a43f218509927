"""What is known of each field of one record: its value, whether it is right, whether it applies."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import Final, Literal

from domain.flag import Flag
from domain.quality_plan import Plan, Planned
from domain.quality_values import is_missing
from domain.record import Reading
from domain.schema import Value

DOUBTFUL_BELOW: Final = 0.5
"""The confidence of a reading."""


Verdict = Literal[0, 1, 2, 3]
MISSING: Final = 0
WRONG: Final = 1
DOUBTFUL: Final = 2
RIGHT: Final = 3

Applies = Literal[0, 1, 2]
NO: Final = 0
OPEN: Final = 1
"""A required field that decides it is missing, wrong or refused."""
YES: Final = 2


class Course:
    """All by the place of the field."""

    __slots__ = ("_plan", "applies", "flags", "values", "verdicts")

    def __init__(self, plan: Plan, readings: Mapping[str, Reading], sent_on: date) -> None:
        self._plan = plan
        self.values: list[Value] = []
        self.verdicts: list[Verdict] = []
        self.flags: list[tuple[Flag, ...]] = []
        for field in plan.fields:
            value, verdict, flags = _read(field, readings.get(field.path), sent_on)
            self.values.append(value)
            self.verdicts.append(verdict)
            self.flags.append(flags)
        self.applies = self._applying()
        if plan.rules and self._contradicted():
            self.applies = self._applying()

    def is_known(self, place: int) -> bool:
        """There, as far as anybody can say right, and of use."""
        return self.verdicts[place] >= DOUBTFUL and self.applies[place] != NO

    def _applying(self) -> list[Applies]:
        fields = self._plan.fields
        applies: list[Applies] = [YES] * len(fields)
        for place in self._plan.order:
            for decider, wanted in fields[place].deciders:
                state = applies[decider]
                if self.verdicts[decider] >= DOUBTFUL:
                    if wanted is not None and self.values[decider] not in wanted:
                        state = NO
                elif state != NO:
                    state = OPEN if fields[decider].required else NO
                applies[place] = min(applies[place], state)
        return applies

    def _contradicted(self) -> bool:
        """Each rule is held to what is right by itself, whatever another rule says of it."""
        broken = [
            rule
            for rule in self._plan.rules
            if all(map(self.is_known, rule.places)) and not rule.holds(rule.values(self.values))
        ]
        for rule in broken:
            for place in rule.places:
                flag = Flag("contradictory", self._plan.fields[place].path, f"not so: {rule.words}")
                self.flags[place] = (*self.flags[place], flag)
                self.verdicts[place] = WRONG
        return bool(broken)


def _read(field: Planned, reading: Reading | None, sent_on: date) -> tuple[Value, Verdict, tuple[Flag, ...]]:
    if reading is None or is_missing(reading.value):
        return None, MISSING, ()
    value = reading.value
    fault = field.check(value, sent_on)
    if fault is not None:
        return value, WRONG, (Flag(fault[0], field.path, fault[1]),)
    if reading.doubtful or reading.confidence < DOUBTFUL_BELOW:
        detail = reading.doubtful or f"read with a confidence of {reading.confidence:.2f}"
        return value, DOUBTFUL, (Flag("doubtful", field.path, detail),)
    return value, RIGHT, ()
