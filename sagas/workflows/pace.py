"""How often the signs of life of workers go on the record, however often they come."""

from __future__ import annotations

from typing import Final

from domain.workflow_course import CallLeased, CallProgressed
from sagas.workflows.means import Recent

BETWEEN: Final = 1.0
"""Seconds between two of a kind of one attempt, at least."""

Sign = CallLeased | CallProgressed
Told = Recent[tuple[type[Sign], str, int], float]
"""When the last of a kind was told, of which attempt. Longer remembered than a run is in hand."""


class Pace:
    """Of one run. `now` is a number of seconds."""

    def __init__(self, told: Told) -> None:
        self._told = told
        self._kept: dict[tuple[type[Sign], str, int], Sign] = {}

    def admits(self, sign: Sign, now: float) -> bool:
        """Whether it is told now. Otherwise it is kept until it is `ripe`, in place of any that was kept before."""
        key = type(sign), sign.call, sign.attempt
        if key not in self._kept and self._left(key, now) <= 0:
            self._told.put(key, now)
            return True
        self._kept[key] = sign
        return False

    def ripe(self, now: float) -> list[Sign]:
        """What was kept and is told now."""
        keys = [key for key in self._kept if self._left(key, now) <= 0]
        for key in keys:
            self._told.put(key, now)
        return [self._kept.pop(key) for key in keys]

    def wait(self, now: float) -> float | None:
        """Seconds until something is ripe; None: nothing is kept."""
        return min((max(0.0, self._left(key, now)) for key in self._kept), default=None)

    def _left(self, key: tuple[type[Sign], str, int], now: float) -> float:
        last = self._told.get(key)
        return 0.0 if last is None else last + BETWEEN - now
