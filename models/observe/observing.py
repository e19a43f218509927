"""What the parts of an observer share: where they read, to whom they report, and how they go on after a fault."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Final, NamedTuple, Protocol, TypeVar

from msgspec import Struct
from nats.errors import Error as NatsError

from domain import monitor
from eventstore.aggregates import Aggregates
from eventstore.blobs import BlobMissing, Blobs, BlobTooLarge
from eventstore.envelope import now
from eventstore.errors import EventStoreError, LogUnavailable
from eventstore.store import EventStore
from models.data.tables import TableInvalid
from models.serve.errors import ArtifactRefused
from models.serve.predictions import Predictions

log = logging.getLogger(__name__)

T = TypeVar("T")

_WELL: Final = 60.0
"""Seconds after which what fails went well for a while."""


class Report(Protocol):
    """Gives a command from within, with an id of its own: given again, it is not carried out again.

    The name of the refusal, None when it was accepted, now or before. Raises LogUnavailable.
    """

    async def __call__(self, category: str, id: str, command: Struct, command_id: str) -> str | None: ...


class Pace(NamedTuple):
    """Seconds. `gather`: what comes within it is observed together, at most `longest` once a version has been in use
    for days. `standby`: how long something may wait until another observer is taken for dead. After a fault it is
    tried again after `retry`, each time after twice as long, up to `most`."""

    gather: float = 1.0
    longest: float = 60.0
    standby: float = 30.0
    retry: float = 0.5
    most: float = 30.0

    def patience(self, since: datetime) -> float:
        """A restart reads every observation since `since` again: in a month there are some 50,000 of them at most."""
        age = (now() - since).total_seconds()
        return min(max(self.gather, age / 1_800), max(self.gather, self.longest))


PACE: Final = Pace()


class Unwatchable(Exception):
    """A version that no reference can be made for."""


class Overtaken(Exception):
    """Another observer of the same model was first: nothing of this was recorded."""


_EXPECTED: Final = (
    EventStoreError,
    BlobMissing,
    BlobTooLarge,
    ArtifactRefused,
    TableInvalid,
    Unwatchable,
    NatsError,
    OSError,
)


@dataclass(frozen=True)
class Sources:
    """Of one observer."""

    store: EventStore
    aggregates: Aggregates
    blobs: Blobs
    predictions: Predictions
    report: Report
    pace: Pace

    async def state(self, model_id: str) -> tuple[int, monitor.Watching]:
        """With its version. Raises Overtaken while nothing has begun, LogUnavailable."""
        version, state = await self.aggregates.load(monitor.monitor, model_id, latest=True)
        match state:
            case monitor.Watching():
                return version, state
            case monitor.Idle():
                raise Overtaken("nothing is watched yet")

    async def observe(
        self, model_id: str, command: monitor.Begin | monitor.ObserveInputs | monitor.ObserveOutcomes, command_id: str
    ) -> None:
        """Raises Overtaken when it was refused, LogUnavailable."""
        refused = await self.report(monitor.monitor.category, model_id, command, command_id)
        if refused is not None:
            raise Overtaken(refused)


async def persist(what: str, work: Callable[[], Awaitable[T]], pace: Pace) -> T:
    """Until it succeeds. What fails is told once and tried again, for ever."""
    told, delay = "", pace.retry
    while True:
        started = asyncio.get_running_loop().time()
        try:
            return await work()
        except Exception as error:
            if asyncio.get_running_loop().time() - started > _WELL:
                told, delay = "", pace.retry
            if str(error) != told:
                _tell(what, error)
                told = str(error)
        await asyncio.sleep(delay * random.uniform(0.75, 1.25))
        delay = min(2 * delay, pace.most)


def _tell(what: str, error: Exception) -> None:
    match error:
        case LogUnavailable():
            log.warning("%s waits for the log: %s", what, error)
        case Overtaken():
            log.info("%s: another observer was first: %s", what, error)
        case _ if isinstance(error, _EXPECTED):
            log.error("%s is interrupted, and tried again: %s: %s", what, type(error).__name__, error)
        case _:
            log.error("%s stopped unexpectedly, and is tried again", what, exc_info=error)
