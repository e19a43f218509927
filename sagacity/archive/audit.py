"""Whether the lines of a file are a whole log: positions from 1 without gap, and every stream's versions and hashes.

It looks at the bytes alone, so that an archive can be judged before anything is written anywhere.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from eventstore.envelope import NO_HASH, Recorded, hash_of, recorded
from eventstore.errors import HistoryBroken
from eventstore.streams import LogLocation
from eventstore.subjects import event_subject
from sagacity.archive.lines import FileFault, read_lines


class Survey(NamedTuple):
    """What a file holds. `hash` is that of its last event, `largest` the size of its largest one in bytes."""

    events: int
    last: int
    hash: str
    largest: int
    faults: tuple[str, ...]


class Audit:
    """Give it every event in the order of the log; `survey` is the verdict so far."""

    def __init__(self, on_event: Callable[[Recorded], None]) -> None:
        self._on_event = on_event
        self._heads: dict[str, tuple[int, bytes]] = {}
        self._events = self._position = self._largest = 0
        self._raw = b""
        self._faults: list[str] = []

    def see(self, position: int, raw: bytes) -> None:
        if position != self._position + 1:
            self._faults.append(f"position {position} follows position {self._position}")
        self._events += 1
        self._position = position
        self._largest = max(self._largest, len(raw))
        self._raw = raw
        try:
            event = recorded(position, raw)
            event_subject(LogLocation(), event.stream, event.version)
        except (HistoryBroken, ValueError) as error:
            self._faults.append(str(error) if isinstance(error, HistoryBroken) else f"position {position}: {error}")
            return
        self._check_order(event)
        self._on_event(event)

    def _check_order(self, event: Recorded) -> None:
        stream = event.envelope.stream
        version, head = self._heads.get(stream, (0, b""))
        if event.version != version + 1:
            self._faults.append(f"position {event.position}: {stream} goes from version {version} to {event.version}")
        elif event.envelope.previoushash != (head.hex() if version else NO_HASH):
            self._faults.append(
                f"position {event.position}: {stream} version {event.version} does not follow from version {version}: "
                "one of them was changed"
            )
        self._heads[stream] = (max(version, event.version), hashlib.sha256(event.raw).digest())

    def unreadable(self, fault: FileFault) -> None:
        self._faults.append(str(fault))

    @property
    def survey(self) -> Survey:
        last_hash = hash_of(self._raw) if self._events else NO_HASH
        return Survey(self._events, self._position, last_hash, self._largest, tuple(self._faults))


def survey_file(
    path: Path,
    on_progress: Callable[[int], None] = lambda _: None,
    on_event: Callable[[Recorded], None] = lambda _: None,
) -> Survey:
    """Read a whole export; a line that is none ends the reading and is a fault like the others."""
    audit = Audit(on_event)
    try:
        for line in read_lines(path):
            audit.see(line.position, line.raw)
            if line.number % 1_000 == 0:
                on_progress(line.position)
    except FileFault as fault:
        audit.unreadable(fault)
    return audit.survey
