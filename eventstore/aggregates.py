"""Current states of aggregates: folded from their streams, kept at hand while they are hot.

What is cached is a prefix of an immutable history, so it is never wrong, only possibly short. Deciding on a short
one costs a refused append; `latest` then fetches through the leader what is missing. Long streams begin at a
snapshot, which is checked against the event it was taken after.
"""

from __future__ import annotations

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from types import UnionType
from typing import Any, Final, Generic, NamedTuple, Protocol, TypeVar

import msgspec

from eventstore.envelope import NO_HASH, Recorded, StreamId
from eventstore.errors import EventStoreError
from eventstore.snapshots import Snapshot, Snapshots, fingerprint_of
from eventstore.store import EventStore

SNAPSHOT_EVERY: Final = 50
"""Events between two snapshots of a stream: as many are folded at most that may lie scattered over the whole log,
where each costs the server a block to read and unpack."""

_SNAPSHOTS_AT_ONCE: Final = 32

S = TypeVar("S")
_log = logging.getLogger(__name__)


class Kind(Protocol[S]):
    """What is to be known of a kind of aggregate. `domain.decider.Decider` is one."""

    @property
    def category(self) -> str: ...
    @property
    def initial(self) -> S: ...
    @property
    def states(self) -> UnionType | type[S]: ...
    @property
    def evolve(self) -> Callable[[S, Any], S]: ...


class Aggregate(NamedTuple, Generic[S]):
    """An aggregate's state after the event `version` of its stream; 0 and the initial state where there is none."""

    version: int
    state: S


class _Entry(NamedTuple):
    kind: Kind[Any]
    version: int
    hash: str
    state: Any
    snapshot: int
    """The version of the newest snapshot known."""


class Aggregates:
    """Safe for any number of concurrent callers; one a process. `capacity`: aggregates kept at hand."""

    def __init__(self, store: EventStore, snapshots: Snapshots | None = None, *, capacity: int = 10_000) -> None:
        self._store = store
        self._snapshots = snapshots or Snapshots(store.connection)
        self._capacity = capacity
        self._entries: OrderedDict[StreamId, _Entry] = OrderedDict()
        self._outdated: set[StreamId] = set()
        self._fingerprints: dict[str, str] = {}
        self._saving: dict[StreamId, asyncio.Task[None]] = {}
        self._due: dict[StreamId, None] = {}
        """Streams whose snapshot waits for its turn, in order."""

    async def close(self) -> None:
        """Wait for the snapshots being written; those that still wait are written another time."""
        self._due.clear()
        await asyncio.gather(*self._saving.values())

    async def load(self, kind: Kind[S], id: str, *, latest: bool = False, presumed_new: bool = False) -> Aggregate[S]:
        """The aggregate as this process knows it, or with `latest` as the leader of the log does.

        One that is not at hand and `presumed_new` is not looked for: whoever appends its first event learns from
        the log when the presumption was wrong.
        Raises HistoryBroken, UnknownEvent, LogUnavailable, ValueError for an id that is none.
        """
        stream = StreamId(kind.category, id)
        entry = self._entries.get(stream)
        if entry is None and presumed_new and not latest:
            entry = _Entry(kind, 0, NO_HASH, kind.initial, 0)
        elif entry is None:
            entry = await self._load_cold(kind, stream, latest)
        elif latest or stream in self._outdated:
            entry = await self._catch_up(stream, entry) or await self._load_cold(kind, stream, latest=True)
        else:
            self._entries.move_to_end(stream)
            return Aggregate(entry.version, entry.state)
        entry = self._keep(stream, entry)
        return Aggregate(entry.version, entry.state)

    def advance(self, stream: StreamId, events: Sequence[Recorded]) -> None:
        """Fold what was just appended into the state at hand, if there is one that it follows."""
        entry = self._entries.get(stream)
        fresh = [event for event in events if entry is not None and event.version > entry.version]
        if entry is None or not fresh:
            return
        if fresh[0].version != entry.version + 1 or fresh[0].envelope.previoushash != entry.hash:
            self._outdated.add(stream)
        else:
            self._keep(stream, self._fold(entry, fresh))

    def invalidate(self, stream: StreamId) -> None:
        """Somebody else appended: the next load fetches what is missing."""
        if stream in self._entries:
            self._outdated.add(stream)

    def forget(self, stream: StreamId) -> None:
        """It will not be wanted soon: the next load reads it from the log, and its room is free."""
        self._entries.pop(stream, None)
        self._outdated.discard(stream)

    async def _catch_up(self, stream: StreamId, entry: _Entry) -> _Entry | None:
        """From the last event known on; None when the log no longer holds that very event."""
        if entry.version == 0:
            return None
        events = await self._store.load(stream, after_version=entry.version - 1, latest=True)
        if not events or events[0].hash != entry.hash:
            return None
        return self._fold(entry, events[1:])

    async def _resume(self, stream: StreamId, snapshot: _Entry) -> _Entry | None:
        """From a snapshot on; None when the log does not hold the event it was taken after. What comes next says so
        by itself: the event is only read where nothing does."""
        events = await self._store.load(stream, after_version=snapshot.version, latest=True)
        if events:
            return self._fold(snapshot, events) if events[0].envelope.previoushash == snapshot.hash else None
        last = await self._store.load(stream, after_version=snapshot.version - 1, limit=1, latest=True)
        return snapshot if last and last[0].hash == snapshot.hash else None

    async def _load_cold(self, kind: Kind[Any], stream: StreamId, latest: bool) -> _Entry:
        snapshot = await self._restore(kind, stream)
        if snapshot is not None:
            resumed = await self._resume(stream, snapshot)
            if resumed is not None:
                return resumed
        entry = _Entry(kind, 0, NO_HASH, kind.initial, 0)
        return self._fold(entry, await self._store.load(stream, latest=latest))

    async def _restore(self, kind: Kind[Any], stream: StreamId) -> _Entry | None:
        found = await self._snapshots.load(stream, self._fingerprint(kind))
        if found is None:
            return None
        try:
            state = msgspec.json.decode(found.state, type=kind.states)
        except msgspec.DecodeError:
            return None
        return _Entry(kind, found.version, found.hash, state, found.version)

    def _fold(self, entry: _Entry, events: Iterable[Recorded]) -> _Entry:
        state, last = entry.state, None
        for last in events:
            state = entry.kind.evolve(state, self._store.decode(last))
        if last is None:
            return entry
        return entry._replace(version=last.version, hash=last.hash, state=state)

    def _keep(self, stream: StreamId, entry: _Entry) -> _Entry:
        """Put it at hand, unless something newer came in the meantime; the newest."""
        known = self._entries.get(stream)
        if known is not None and known.version > entry.version:
            return known
        if entry.version - entry.snapshot >= SNAPSHOT_EVERY:
            entry = self._snapshot(stream, entry)
        self._entries[stream] = entry
        self._entries.move_to_end(stream)
        self._outdated.discard(stream)
        if len(self._entries) > self._capacity:
            evicted, _ = self._entries.popitem(last=False)
            self._outdated.discard(evicted)
        return entry

    def _snapshot(self, stream: StreamId, entry: _Entry) -> _Entry:
        """In the background; while many are being written it waits for its turn."""
        if stream in self._saving or len(self._saving) >= _SNAPSHOTS_AT_ONCE:
            self._due[stream] = None
            return entry
        self._due.pop(stream, None)
        saving = asyncio.get_running_loop().create_task(self._save(stream, entry))
        self._saving[stream] = saving
        saving.add_done_callback(lambda _: self._saved(stream))
        return entry._replace(snapshot=entry.version)

    def _saved(self, stream: StreamId) -> None:
        """The next that waits takes its turn, if it is still at hand."""
        self._saving.pop(stream, None)
        while self._due:
            waiting = next(iter(self._due))
            del self._due[waiting]
            entry = self._entries.get(waiting)
            if entry is not None and entry.version - entry.snapshot >= SNAPSHOT_EVERY:
                self._entries[waiting] = self._snapshot(waiting, entry)
                return

    async def _save(self, stream: StreamId, entry: _Entry) -> None:
        try:
            document = msgspec.json.encode(entry.state)
            if msgspec.json.decode(document, type=entry.kind.states) != entry.state:
                raise ValueError(f"the state of {stream} does not read back as it was written")
            fingerprint = self._fingerprint(entry.kind)
            await self._snapshots.save(stream, Snapshot(entry.version, entry.hash, fingerprint, msgspec.Raw(document)))
        except (EventStoreError, ValueError, TypeError) as error:
            _log.warning("no snapshot of %s at version %d: %s", stream, entry.version, error)

    def _fingerprint(self, kind: Kind[Any]) -> str:
        if kind.category not in self._fingerprints:
            self._fingerprints[kind.category] = fingerprint_of(kind.states, kind.evolve)
        return self._fingerprints[kind.category]
