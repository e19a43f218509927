"""Files that are there and have come to rest."""

from __future__ import annotations

import asyncio
import logging
import os
import time
from collections.abc import AsyncGenerator, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from fnmatch import fnmatch
from pathlib import Path
from typing import Final, NamedTuple

from domain.automation import FileWatcher
from eventstore.blobs import LARGEST
from records.automations.occurrence import Looked, Occurrence, occurrence_id

log = logging.getLogger(__name__)

_AT_A_LOOK: Final = 500


class _Seen(NamedTuple):
    """`changed` and `touched` (its contents, or anything about it) in nanoseconds, by the clock of its place."""

    size: int
    changed: int
    touched: int


class _Unread(NamedTuple):
    reason: str


async def occurrences(trigger: FileWatcher) -> AsyncGenerator[Occurrence | Looked]:
    """For ever: each content of each file once while this runs; who asks again after a restart is told again.

    Raises OSError when the place cannot be looked at.
    """
    looking = _Looking(trigger)
    while True:
        for path, seen in await asyncio.to_thread(looking.settled, time.monotonic()):
            content = await asyncio.to_thread(_read, path, seen)
            if content is not None:
                looking.told[path] = seen
                yield _occurrence(path, seen, content)
        yield Looked()
        await asyncio.sleep(min(trigger.every, trigger.settled) if looking.resting else trigger.every)


@dataclass
class _Looking:
    """What was seen before. `resting` are files that changed, and since when they are as they are now: by the clock
    here, as that of a file server may be another one."""

    trigger: FileWatcher
    told: dict[Path, _Seen] = field(default_factory=dict[Path, _Seen])
    resting: dict[Path, tuple[_Seen, float]] = field(default_factory=dict[Path, tuple[_Seen, float]])
    closed: set[Path] = field(default_factory=set[Path])

    def settled(self, now: float) -> list[tuple[Path, _Seen]]:
        """Those that were not told of as they are now, the oldest first."""
        there = dict(self._look())
        self.told = {path: seen for path, seen in self.told.items() if path in there}
        changed = {path: seen for path, seen in there.items() if self.told.get(path) != seen}
        resting: dict[Path, tuple[_Seen, float]] = {}
        for path, seen in changed.items():
            before = self.resting.get(path)
            resting[path] = before if before is not None and before[0] == seen else (seen, now)
        self.resting = resting
        ready = [(path, seen) for path, (seen, since) in resting.items() if now - since >= self.trigger.settled]
        return sorted(ready, key=lambda each: (each[1].changed, each[0]))[:_AT_A_LOOK]

    def _look(self) -> Iterator[tuple[Path, _Seen]]:
        hidden = self.trigger.pattern.startswith(".")
        for path in self._files(Path(self.trigger.path), top=True):
            if (not path.name.startswith(".") or hidden) and fnmatch(path.name, self.trigger.pattern):
                try:
                    yield path, _seen(path)
                except FileNotFoundError:
                    continue

    def _files(self, place: Path, *, top: bool = False) -> Iterator[Path]:
        """No links: they could lead anywhere."""
        try:
            with os.scandir(place) as entries:
                found = list(entries)
        except OSError as error:
            if top:
                raise
            if place not in self.closed:
                log.warning("%s is left out: %s", place, error.strerror)
                self.closed.add(place)
            return
        for entry in found:
            if entry.is_file(follow_symlinks=False):
                yield Path(entry.path)
            elif self.trigger.recursive and entry.is_dir(follow_symlinks=False):
                yield from self._files(Path(entry.path))


def _seen(path: Path) -> _Seen:
    status = path.stat()
    return _Seen(status.st_size, status.st_mtime_ns, status.st_ctime_ns)


def _read(path: Path, seen: _Seen) -> bytes | _Unread | None:
    """None for what is gone, or is changing again."""
    if seen.size > LARGEST:
        return _Unread(f"{seen.size} bytes; at most {LARGEST}")
    try:
        content = path.read_bytes()
        return content if _seen(path) == seen else None
    except FileNotFoundError:
        return None
    except OSError as error:
        return _Unread(f"it cannot be read: {error.strerror}")


def _occurrence(path: Path, seen: _Seen, content: bytes | _Unread) -> Occurrence:
    now = datetime.now(UTC)
    file, name = (each.encode(errors="surrogateescape").decode(errors="replace") for each in (str(path), path.name))
    values = {"file": file, "name": name, "time": now.isoformat(timespec="seconds")}
    if isinstance(content, _Unread):
        id = occurrence_id(str(path), repr(seen), content.reason)
        return Occurrence(id, file, now, values, name=name, unfit=f"{name}: {content.reason}")
    return Occurrence(occurrence_id(str(path), content), file, now, values, name=name, content=content)
