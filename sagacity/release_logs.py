"""What the release of a deployment wrote, from the target that it was rolled out on."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from typing import Any, Final

from domain import deployment, environment
from eventstore.envelope import StreamId
from eventstore.store import EventStore
from sagas.course import effect_key
from sagas.rollout import TargetOf
from sagas.targets.port import TargetUnavailable

_REMEMBERED: Final = 1_000


class LogsOfReleases:
    """Implements `api.services.ReleaseLogs`.

    The read model knows a target's name only, and the environment may have another target of that name by now. The
    first event of a deployment holds its targets themselves, and never changes.
    """

    def __init__(self, store: EventStore, target_of: TargetOf) -> None:
        self._store = store
        self._target_of = target_of
        self._known: OrderedDict[str, tuple[environment.Target, ...]] = OrderedDict()

    async def __call__(self, deployment: Any, after: int, limit: int) -> Sequence[Any]:
        """Raises the errors of the target port, and LogUnavailable."""
        targets = await self._targets(deployment.id)
        attempt: int = deployment.attempt
        return await self._target_of(targets[attempt - 1]).logs(
            effect_key(deployment.id, "start", attempt=attempt), after, limit
        )

    async def _targets(self, id: str) -> tuple[environment.Target, ...]:
        if id not in self._known:
            self._known[id] = await self._requested(id)
            if len(self._known) > _REMEMBERED:
                self._known.popitem(last=False)
        return self._known[id]

    async def _requested(self, id: str) -> tuple[environment.Target, ...]:
        for event in await self._store.load(StreamId("deployment", id), limit=1):
            data = self._store.decode(event)
            if isinstance(data, deployment.Requested):
                return data.target, *data.fallbacks
        raise TargetUnavailable(f"the log does not know the deployment {id} now")
