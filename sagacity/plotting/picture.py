"""What a plot shows, however it is drawn: panels over the same time, with marks through them."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from typing import Final, Literal, NamedTuple, get_args

Metric = Literal["error_rate", "psi", "p_value"]
METRICS: Final[tuple[Metric, ...]] = get_args(Metric)
MarkKind = Literal["training", "promoted", "discarded", "rolled_back", "error_drift", "input_drift"]
MOST_LINES: Final = 6
"""More lines in one panel cannot be told apart."""


class Mark(NamedTuple):
    """Something that happened; `text` says what, for people."""

    time: datetime
    kind: MarkKind
    text: str


class Line(NamedTuple):
    """`values` at `times`, as many of one as of the other."""

    name: str
    times: tuple[datetime, ...]
    values: tuple[float, ...]


class Panel(NamedTuple):
    """`scale` is that of the values, which are positive on a logarithmic one; `limit` is a value that means something,
    with what it means; `marks` are those that are shown in it."""

    title: str
    lines: tuple[Line, ...]
    scale: Literal["linear", "log"] = "linear"
    limit: tuple[float, str] | None = None
    marks: tuple[MarkKind, ...] = ()


class Picture(NamedTuple):
    title: str
    panels: tuple[Panel, ...]
    marks: tuple[Mark, ...] = ()

    @property
    def span(self) -> tuple[datetime, datetime] | None:
        """From the first value or mark to the last; None: there is nothing to show."""
        times = [time for panel in self.panels for line in panel.lines for time in line.times]
        times += [mark.time for mark in self.shown]
        return (min(times), max(times)) if times else None

    @property
    def shown(self) -> tuple[Mark, ...]:
        """The marks that any panel shows, by time."""
        kinds = {kind for panel in self.panels for kind in panel.marks}
        return tuple(sorted(mark for mark in self.marks if mark.kind in kinds))

    def marks_in(self, panel: Panel) -> tuple[Mark, ...]:
        return tuple(mark for mark in self.shown if mark.kind in panel.marks)


class Counted(NamedTuple):
    """`hits` of `rows`, known at `time`."""

    time: datetime
    rows: int
    hits: int


def rate(name: str, counts: Iterable[Counted], rows: int) -> Line:
    """The share of hits among the latest `rows` rows or a few more, at each time when rows came."""
    recent: deque[Counted] = deque()
    times: list[datetime] = []
    values: list[float] = []
    for count in counts:
        if not count.rows:
            continue
        recent.append(count)
        while sum(each.rows for each in recent) - recent[0].rows >= rows:
            recent.popleft()
        times.append(count.time)
        values.append(sum(each.hits for each in recent) / sum(each.rows for each in recent))
    return Line(name, tuple(times), tuple(values))


def foremost(lines: Sequence[Line], weight: Callable[[Sequence[float]], float]) -> tuple[Line, ...]:
    """As many as can be told apart: those whose values weigh most, heaviest first; of equal ones the first."""
    found = sorted((line for line in lines if line.values), key=lambda line: -weight(line.values))
    return tuple(found[:MOST_LINES])
