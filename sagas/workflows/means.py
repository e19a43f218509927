"""What every run that this process works on shares with the others."""

from __future__ import annotations

import random
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final, Generic, NamedTuple, Protocol, TypeVar

import msgspec

from eventstore.aggregates import Aggregates
from eventstore.envelope import Context, Envelope, now
from eventstore.store import EventStore
from sagas.workflows.checking import Checks
from sagas.workflows.circuits import Circuits
from sagas.workflows.known import Known
from sagas.workflows.local import Perform
from sagas.workflows.queue import Queue
from sagas.workflows.values import Values
from skills.skill import Skill

ACTOR: Final = "workflow"
_REMEMBERED: Final = 50_000

K = TypeVar("K")
V = TypeVar("V")


class Origin(NamedTuple):
    """Who began a run, and within what."""

    actor: str
    correlation_id: str
    tenant: str | None
    traceparent: str | None

    @classmethod
    def of(cls, envelope: Envelope) -> Origin:
        return cls(envelope.actor, envelope.correlationid, envelope.tenant, envelope.traceparent)

    def context(self, moment: datetime, cause: str) -> Context:
        """Of what the engine writes."""
        return Context(
            time=moment,
            actor=ACTOR,
            correlation_id=self.correlation_id,
            causation_id=cause,
            tenant=self.tenant,
            traceparent=self.traceparent,
        )


class Tell(Protocol):
    """Gives a command to another aggregate, with an id of its own: given again, it is not carried out again. With
    `as_origin` it is given in the name of who began the run.

    The refusal in words, None when it was accepted, now or before. Raises LogUnavailable, WriteTooLarge.
    """

    async def __call__(
        self, category: str, id: str, command: msgspec.Struct, command_id: str, origin: Origin, as_origin: bool = False
    ) -> str | None: ...


class Recent(Generic[K, V]):
    """The last values that were put in, by key."""

    def __init__(self, room: int = _REMEMBERED) -> None:
        self._values: OrderedDict[K, V] = OrderedDict()
        self._room = room

    def get(self, key: K) -> V | None:
        return self._values.get(key)

    def put(self, key: K, value: V) -> None:
        self._values[key] = value
        self._values.move_to_end(key)
        if len(self._values) > self._room:
            self._values.popitem(last=False)

    def drop(self, key: K) -> V | None:
        return self._values.pop(key, None)


@dataclass(frozen=True)
class Means:
    """`worker` is this process by name, as it stands in the leases of the calls that it has in hand itself. `local`:
    the skills that run in this process, by name and version. `told`: attempts that were given to somebody else.
    `armed`: for when the timer of a run is set. `signs`: when a worker's last sign of life was told."""

    store: EventStore
    aggregates: Aggregates
    values: Values
    known: Known
    queue: Queue
    tell: Tell
    perform: Perform
    worker: str
    local: Mapping[tuple[str, str], Skill[Any, Any]]
    checks: Checks = field(default_factory=Checks)
    circuits: Circuits = field(default_factory=Circuits)
    origins: Recent[str, Origin] = field(default_factory=Recent[str, Origin])
    told: Recent[tuple[str, int], bool] = field(default_factory=Recent[tuple[str, int], bool])
    armed: Recent[str, datetime] = field(default_factory=Recent[str, datetime])
    signs: Recent[Any, float] = field(default_factory=Recent[Any, float])
    clock: Callable[[], datetime] = now
    drawn: Callable[[], float] = random.random


def run_of(call: str) -> str:
    """A call is numbered within its run."""
    return call.rpartition("-")[0]


WORKERS: Final = "engine-"
"""What the names of engines begin with, as workers; those of others never do."""


def foreign(worker: str) -> str:
    """The name of a worker as it stands on the record, whatever it calls itself: what an engine has in hand is begun
    again when that engine is gone, and is in no queue from which it could be taken."""
    return f"foreign-{worker}" if worker.startswith(WORKERS) else worker
