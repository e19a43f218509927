"""How good a record is: what is missing, what is wrong, what does not apply, and what is to be asked for.

score = sum of w x s / sum of w, over the required fields that apply: s is 1 for a right value, 1/2 for a doubtful one,
0 for one that is missing, wrong or refused. completeness is the share of w that is there, validity the share of that
which is right: score = completeness x validity. A share of nothing is 1.

Whether a field applies is open while a required field that decides it is missing, wrong or refused. As long as it is,
a right value is left out of the sums and anything else counts 0: so no right answer lowers the score, whether the
field then applies or not. A deciding field that is not required, and not rightly there, decides as absent.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import date
from typing import Final, NamedTuple

from domain.flag import Flag
from domain.quality_course import DOUBTFUL, MISSING, NO, OPEN, RIGHT, WRONG, YES, Course
from domain.quality_plan import Plan, Planned, planned
from domain.record import Assessment, Reading
from domain.schema import Schema

_SHARES: Final = (0.0, 0.0, 0.5, 1.0)
"""By verdict."""

_BY_PEOPLE: Final = ("answer", "person")


class Check:
    """A schema made ready: a dozen of fields take some ten microseconds.

    Raises ValueError for unknown paths, circles of conditions, and patterns that are not sound.
    """

    def __init__(self, schema: Schema, version: int) -> None:
        self.schema: Final = schema
        self.version: Final = version
        self._plan: Final = planned(schema)

    def assess(
        self,
        readings: Mapping[str, Reading],
        refused: Collection[str],
        sent_on: date,
        flags: Sequence[Flag],
        late: bool,
        duplicate_of: str | None,
    ) -> Assessment:
        """`refused`: paths that the sender will not give; they are asked for no more. `flags` are those of earlier
        stages, which stay, unless somebody has said since what the field is. All lists are in the order of the
        schema, flags of the whole record first."""
        course = Course(self._plan, readings, sent_on)
        listed = _listed(self._plan, course, refused)
        return Assessment(
            self.schema.name,
            self.version,
            *_sums(self._plan, course),
            tuple(listed.missing),
            tuple(listed.wrong),
            tuple(listed.doubtful),
            tuple(listed.not_applicable),
            tuple(listed.gaps),
            (*_earlier(flags, readings), *_of_record(late, duplicate_of), *_of_fields(self._plan, course, refused)),
        )


def compiled(schema: Schema, version: int) -> Check:
    """Raises ValueError as `Check` does."""
    return Check(schema, version)


def _sums(plan: Plan, course: Course) -> tuple[float, float, float]:
    """Score, completeness and validity."""
    total = there = right = 0.0
    for field, verdict, applies in zip(plan.fields, course.verdicts, course.applies, strict=True):
        if not field.required or applies == NO or (applies == OPEN and verdict == RIGHT):
            continue
        total += field.weight
        if verdict != MISSING:
            there += field.weight
        if applies == YES:
            right += field.weight * _SHARES[verdict]
    return _share(right, total), _share(there, total), _share(right, there)


def _share(part: float, whole: float) -> float:
    return part / whole if whole else 1.0


class _Listed(NamedTuple):
    """Paths."""

    missing: list[str]
    wrong: list[str]
    doubtful: list[str]
    not_applicable: list[str]
    gaps: list[str]


def _listed(plan: Plan, course: Course, refused: Collection[str]) -> _Listed:
    listed = _Listed([], [], [], [], [])
    for field, verdict, applies in zip(plan.fields, course.verdicts, course.applies, strict=True):
        if applies == NO:
            listed.not_applicable.append(field.path)
            continue
        if verdict == DOUBTFUL:
            listed.doubtful.append(field.path)
        elif verdict == WRONG:
            listed.wrong.append(field.path)
        elif verdict == MISSING and field.required:
            listed.missing.append(field.path)
        if verdict <= WRONG and applies == YES and _is_asked_for(field, course, refused):
            listed.gaps.append(field.path)
    return listed


def _is_asked_for(field: Planned, course: Course, refused: Collection[str]) -> bool:
    return field.required and field.path not in refused and all(map(course.is_known, field.follows))


def _earlier(flags: Sequence[Flag], readings: Mapping[str, Reading]) -> list[Flag]:
    settled = {path for path, reading in readings.items() if reading.origin in _BY_PEOPLE} if flags else ()
    return [flag for flag in dict.fromkeys(flags) if flag.path not in settled]


def _of_record(late: bool, duplicate_of: str | None) -> list[Flag]:
    flags = [] if duplicate_of is None else [Flag("duplicate", detail=f"the same as {duplicate_of}")]
    return [*flags, Flag("late")] if late else flags


def _of_fields(plan: Plan, course: Course, refused: Collection[str]) -> list[Flag]:
    flags: list[Flag] = []
    for place, found in enumerate(course.flags):
        if course.applies[place] == NO:
            continue
        flags += found
        if refused and course.verdicts[place] <= WRONG and plan.fields[place].path in refused:
            flags.append(Flag("refused", plan.fields[place].path))
    return flags
