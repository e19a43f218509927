"""How requests are counted, whichever splitter they go through. Runs on every request, so it does little.

Errors are answers from 500 on, and requests that got none or only a part. Those that belong together are one incident:

- errors in a row, on an arm or on the whole front, with no good answer between them, are one, and one more after ten
  of them, so that a release that always fails is found quickly;
- a value of the incident header (a user, a trace) is counted once on the front for ever; its further errors neither
  count nor make a row longer.

What the whole front suffers is counted for the arm that it struck first. So an incident that has nothing to do with
the release falls on an arm as often as a request does, however different the arms' weights are.
"""

from __future__ import annotations

from typing import Final

from domain.measurement import Counts, Reading, bucket_of

_ROW: Final = 10
_VALUES: Final = 100_000
_PATTERNS: Final = 50
_OTHER: Final = "other"
_METHOD: Final = 20
_SEGMENT: Final = 60
_ARMS: Final = 100


class Incidents:
    """What was counted on the whole front: the row of errors under way, and the values of the incident header."""

    __slots__ = ("row", "since", "values")

    def __init__(self) -> None:
        self.row = 0
        self.since = 0
        self.values: dict[int, None] = {}  # by their hashes: values may be long

    def remember(self, value: int) -> None:
        if len(self.values) >= _VALUES:
            del self.values[next(iter(self.values))]
        self.values[value] = None


class ArmCounts:
    """Counts of one arm; `front` is what it shares with the others."""

    __slots__ = ("_errors", "_front", "_incidents", "_latency", "_patterns", "_requests", "_row", "_since")

    def __init__(self, front: Incidents | None = None) -> None:
        self._front = front or Incidents()
        self._requests = 0
        self._errors = 0
        self._incidents = 0
        self._row = 0
        self._since = 0
        self._latency: dict[int, int] = {}
        self._patterns: dict[str, int] = {}

    def record(
        self, status: int | None, seconds: float | None, method: str, path: str, incident: str | None = None
    ) -> None:
        """One request. `status` None: no answer, or one that broke off.

        `seconds` until the last byte of the answer; None for what has no such time (a WebSocket, no answer).
        `path` may have a query. `incident` is the value of the route's incident header.
        """
        self._requests += 1
        if seconds is not None:
            self._took(seconds)
        if status is None or status >= 500:
            self._failed(status, method, path, incident)
        else:
            self._row = self._front.row = 0

    def abandoned(self, seconds: float) -> None:
        """The client left before the answer was complete: neither good nor bad, but it took at least so long."""
        self._requests += 1
        self._took(seconds)

    def counts(self) -> Counts:
        return Counts(self._requests, self._errors, self._incidents, self._latency.copy(), self._patterns.copy())

    def _took(self, seconds: float) -> None:
        bucket = bucket_of(seconds)
        self._latency[bucket] = self._latency.get(bucket, 0) + 1

    def _failed(self, status: int | None, method: str, path: str, incident: str | None) -> None:
        self._errors += 1
        pattern = f"{status or 'none'} {method[:_METHOD]} {_first_segment(path)}"
        if pattern not in self._patterns and len(self._patterns) >= _PATTERNS - 1:
            pattern = _OTHER
        self._patterns[pattern] = self._patterns.get(pattern, 0) + 1
        value = None if incident is None else hash(incident)
        if value in self._front.values:
            return
        if self._is_another():
            self._incidents += 1
            self._since = self._front.since = 0
            if value is not None:
                self._front.remember(value)

    def _is_another(self) -> bool:
        """Whether this error is an incident of its own, and not a part of the one before."""
        self._row, self._since = self._row + 1, self._since + 1
        self._front.row, self._front.since = self._front.row + 1, self._front.since + 1
        if self._front.row > 1:
            return self._front.since >= _ROW
        return self._row == 1 or self._since >= _ROW


class FrontCounts:
    """Counts of the arms of one front: those that are routed to, and of those that were the last 100."""

    def __init__(self) -> None:
        self._arms: dict[str, ArmCounts] = {}
        self._incidents = Incidents()

    def routed(self, keys: tuple[str, ...]) -> None:
        """Call with every new route, before its first request."""
        for key in keys:
            self._arms[key] = self._arms.pop(key, None) or ArmCounts(self._incidents)
        for key in list(self._arms)[: -max(_ARMS, len(keys))]:
            del self._arms[key]

    def arm(self, key: str) -> ArmCounts:
        """Also of an arm that is forgotten, for what it still had in flight; that is then counted for nobody."""
        return self._arms.get(key) or ArmCounts()

    def reading(self, epoch: str) -> Reading:
        return Reading(epoch, {key: arm.counts() for key, arm in self._arms.items()})


def _first_segment(path: str) -> str:
    """`/products` of `/products/7?colour=red`."""
    end = path.partition("?")[0].find("/", 1)
    return path.partition("?")[0][: end if end > 0 else None][:_SEGMENT]
