"""Proof that the log is what was written: every position, every version, every link of every chain.

Memory grows with the number of streams only (about 250 bytes for each), not with the number of events.
"""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from typing import Final, Literal, NamedTuple

import msgspec

from eventstore.envelope import NO_HASH, Recorded, StreamId, hash_of, recorded
from eventstore.errors import HistoryBroken, UnknownEvent
from eventstore.reader import Found
from eventstore.store import EventStore
from eventstore.subjects import event_subject

FaultKind = Literal["position", "document", "subject", "version", "chain", "data", "shortened", "changed"]
"""What is wrong:

- position: the log lacks positions
- document: the bytes are no event document
- subject: the event stands under another name than its own
- version: a stream lacks a version or has it twice
- chain: an event does not follow from the one before it, so one of the two was changed
- data: the event type, schema version or data cannot be read by this program
- shortened: the log ends before a position that was there
- changed: an event is not the one that was there
"""

_PAGE: Final = 2_000


class Fault(msgspec.Struct, frozen=True):
    """`position` is the event's where the fault shows; `stream` is empty where it concerns the whole log."""

    kind: FaultKind
    position: int
    stream: str
    text: str


class Anchor(NamedTuple):
    """What somebody remembers of the log: the hash of the event at a position."""

    position: int
    hash: str


class Progress(NamedTuple):
    position: int
    last: int
    faults: int


class Verified(msgspec.Struct, frozen=True):
    """The result; `last` and `hash` are an anchor to compare the log with next time."""

    events: int
    streams: int
    last: int
    hash: str
    faults: tuple[Fault, ...]


async def verify(
    store: EventStore,
    *,
    anchors: Iterable[Anchor] = (),
    on_progress: Callable[[Progress], None] = lambda _: None,
) -> Verified:
    """Read the whole log as it is now and name every fault. Raises LogUnavailable."""
    last = (await store.state()).last
    audit = _Audit(store, anchors)
    async for page in _pages(store, last):
        for found in page:
            audit.see(found)
        on_progress(Progress(audit.position, last, len(audit.faults)))
    return audit.end(last)


async def verify_stream(store: EventStore, stream: StreamId) -> tuple[Fault, ...]:
    """Every fault of one stream. Raises LogUnavailable."""
    audit = _StreamAudit(store)
    async for found in _versions(store, stream):
        audit.see(found)
    return tuple(audit.faults)


async def _pages(store: EventStore, last: int) -> AsyncIterator[Sequence[Found]]:
    after = 0
    while after < last:
        page = await store.reader.page_with_subjects(after, min(_PAGE, last - after))
        if not page:
            found = await store.reader.next_above(after)
            if found is None:
                return
            page = [found]  # it was a follower that answered, and it is behind
        yield [found for found in page if found.position <= last]
        after = page[-1].position


async def _versions(store: EventStore, stream: StreamId) -> AsyncIterator[Found]:
    """Across gaps too: it ends where a whole chunk of versions is missing."""
    first, size = 1, 512
    while True:
        wanted = [event_subject(store.location, stream, version) for version in range(first, first + size)]
        holders = await store.reader.holders(wanted)
        for subject in wanted:
            if subject in holders:
                yield Found(subject, *holders[subject])
        if not holders:
            return
        first += size


class _StreamAudit:
    """Versions, chain, documents and names, for events of any number of streams in the order of the log."""

    def __init__(self, store: EventStore) -> None:
        self._store = store
        self._heads: dict[bytes, tuple[int, bytes]] = {}
        self.faults: list[Fault] = []

    @property
    def streams(self) -> int:
        return len(self._heads)

    def see(self, found: Found) -> None:
        try:
            event = recorded(found.position, found.raw)
        except HistoryBroken as error:
            self.faults.append(Fault("document", found.position, "", str(error)))
            return
        self._check_name(event, found.subject)
        self._check_order(event)
        try:
            self._store.decode(event)
        except UnknownEvent as error:
            self._fault("data", event, str(error))

    def _check_name(self, event: Recorded, subject: str) -> None:
        try:
            own = event_subject(self._store.location, event.stream, event.version)
        except ValueError as error:
            own = str(error)
        if own != subject:
            self._fault("subject", event, f"stands under {subject}, but is {event.stream} version {event.version}")

    def _check_order(self, event: Recorded) -> None:
        stream = event.envelope.stream
        key = hashlib.blake2b(stream.encode(), digest_size=16).digest()
        version, head = self._heads.get(key, (0, b""))
        if event.version != version + 1:
            missing = f"{stream} goes from version {version} to {event.version}"
            self._fault("version", event, missing)
        elif event.envelope.previoushash != (head.hex() if version else NO_HASH):
            text = f"{stream} version {event.version} does not follow from version {version}: one of them was changed"
            self._fault("chain", event, text)
        self._heads[key] = (max(version, event.version), hashlib.sha256(event.raw).digest())

    def _fault(self, kind: FaultKind, event: Recorded, text: str) -> None:
        self.faults.append(Fault(kind, event.position, event.envelope.stream, text))


class _Audit(_StreamAudit):
    """The same for the whole log, with its positions and what others remember of it."""

    def __init__(self, store: EventStore, anchors: Iterable[Anchor]) -> None:
        super().__init__(store)
        self._anchors = dict(anchors)
        self.position = 0
        self._events = 0
        self._last_raw = b""

    def see(self, found: Found) -> None:
        self._skip_to(found.position)
        self.position = found.position
        self._events += 1
        self._last_raw = found.raw
        remembered = self._anchors.pop(found.position, None)
        if remembered is not None and remembered != hash_of(found.raw):
            text = f"position {found.position} is not the event that was there"
            self.faults.append(Fault("changed", found.position, "", text))
        super().see(found)

    def end(self, last: int) -> Verified:
        self._skip_to(last + 1)
        for position in sorted(self._anchors):
            if position > last:
                text = f"the log ends at position {last}; it reached {position} before"
                self.faults.append(Fault("shortened", position, "", text))
        return Verified(
            events=self._events,
            streams=self.streams,
            last=last,
            hash=hash_of(self._last_raw) if self._events else NO_HASH,
            faults=tuple(self.faults),
        )

    def _skip_to(self, position: int) -> None:
        first, last = self.position + 1, position - 1
        if first <= last:
            text = f"positions {first} to {last} are missing" if first < last else f"position {first} is missing"
            self.faults.append(Fault("position", first, "", text))
