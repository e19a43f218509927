"""A clock that stands still until it is told what time it is, and then makes the server deliver every timer due."""

from contextlib import asynccontextmanager
from datetime import datetime


class TestClock:
    """What the platform asks for the time. It is to be far in the future: a real server's own clock fires no timer."""

    __test__ = False

    def __init__(self, connection, start):
        self._connection = connection
        self._now = start
        self._set = {}

    def __call__(self):
        return self._now

    async def advance(self, to):
        assert to >= self._now, "no clock goes back"
        self._now = to
        for subject in list(self._set):
            await self._fire_if_due(subject)

    def due(self, saga_id):
        """When a saga's timers fire."""
        return sorted(at for subject, (at, _, _) in self._set.items() if subject.split(".")[1] == saga_id)

    async def hear(self, message):
        at = datetime.fromisoformat(message.headers["Nats-Schedule"].removeprefix("@at "))
        self._set[message.subject] = at, message.headers["Nats-Schedule-Target"], message.data
        await self._fire_if_due(message.subject)

    async def _fire_if_due(self, subject):
        at, target, body = self._set[subject]
        if at <= self._now:
            del self._set[subject]
            await self._connection.publish(target, body)


@asynccontextmanager
async def ticking(connection, start):
    clock = TestClock(connection, start)
    subscription = await connection.subscribe("timer.>", cb=clock.hear)
    await connection.flush()
    try:
        yield clock
    finally:
        await subscription.unsubscribe()
