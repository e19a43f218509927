"""Files that are there and have come to rest."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncGenerator
from datetime import UTC, datetime
from fnmatch import fnmatch
from pathlib import Path
from typing import Final, NamedTuple

from domain.automation import FileWatcher
from records.automations.occurrence import Occurrence, occurrence_id

LARGEST: Final = 256 * 1024 * 1024
"""Bytes; a larger file is named and left alone."""

_AT_A_LOOK: Final = 500


class _Seen(NamedTuple):
    size: int
    changed: int


async def occurrences(trigger: FileWatcher) -> AsyncGenerator[Occurrence]:
    """For ever: each content of each file once while this runs; who asks again after a restart is told again.

    Raises OSError when the place cannot be looked at.
    """
    told: dict[Path, _Seen] = {}
    while True:
        for path, seen in await asyncio.to_thread(_settled, trigger, told):
            told[path] = seen
            content = await asyncio.to_thread(_read, path, seen)
            if content is not None:
                yield _occurrence(path, content)
        await asyncio.sleep(trigger.every)


def _settled(trigger: FileWatcher, told: dict[Path, _Seen]) -> list[tuple[Path, _Seen]]:
    """Those that were not told of as they are now, the oldest first."""
    found: list[tuple[Path, _Seen]] = []
    for path in _files(Path(trigger.path), trigger.recursive):
        if not fnmatch(path.name, trigger.pattern):
            continue
        try:
            status = path.stat()
        except FileNotFoundError:
            continue
        seen = _Seen(status.st_size, status.st_mtime_ns)
        if told.get(path) != seen and time.time() - status.st_mtime >= trigger.settled:
            found.append((path, seen))
    return sorted(found, key=lambda each: (each[1].changed, each[0]))[:_AT_A_LOOK]


def _files(place: Path, recursive: bool) -> list[Path]:
    """No links: they could lead anywhere."""
    found: list[Path] = []
    with os.scandir(place) as entries:
        for entry in entries:
            if entry.is_file(follow_symlinks=False):
                found.append(Path(entry.path))
            elif recursive and entry.is_dir(follow_symlinks=False):
                found += _files(Path(entry.path), recursive)
    return found


def _read(path: Path, seen: _Seen) -> bytes | None:
    """None for what is gone again; of what is too large, nothing but its name."""
    if seen.size > LARGEST:
        return b""
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None


def _occurrence(path: Path, content: bytes) -> Occurrence:
    now = datetime.now(UTC)
    values = {"file": str(path), "name": path.name, "time": now.isoformat(timespec="seconds")}
    return Occurrence(occurrence_id(str(path), content), str(path), now, values, name=path.name, content=content)
