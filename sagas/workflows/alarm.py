"""The durable timer of a run that rests: one of each engine that has left it.

A timer that two engines shared would be moved by one while the other still believes in what it has set.
"""

from __future__ import annotations

from datetime import datetime

from sagas.timers import FARTHEST, RUNS, Due, drop_timers, set_timer
from sagas.workflows.means import Means


class Alarm:
    """Of the run `id`."""

    def __init__(self, means: Means, id: str) -> None:
        self._means = means
        self._id = id

    async def set(self, at: datetime, moment: datetime) -> None:
        """`moment` is now. One that is set and wakes the run before that stays: it sets the next. Raises
        LogUnavailable."""
        at = min(at, moment + FARTHEST)
        armed = self._means.armed.get(self._id)
        if armed is None or not moment < armed <= at:
            await set_timer(self._means.store.connection, Due(self._id, self._means.worker), at, RUNS)
            self._means.armed.put(self._id, at)

    async def drop(self) -> None:
        """If this process has set it; one that fires in vain does no harm. Raises LogUnavailable."""
        if self._means.armed.drop(self._id) is not None:
            await drop_timers(self._means.store.connection, self._id, RUNS)
