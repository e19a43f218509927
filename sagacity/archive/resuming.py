"""Where an export that was cut off goes on."""

from __future__ import annotations

from collections import deque
from pathlib import Path
from typing import Final

from eventstore.store import EventStore
from sagacity.archive.exporting import Selection
from sagacity.archive.lines import Line, is_compressed, read_lines

_BLOCK: Final = 1024 * 1024


class NotResumable(Exception):
    """The file is not the beginning of an export of this log."""


async def resume_point(store: EventStore, path: Path, selection: Selection) -> int:
    """The position after which to go on; a last line that was cut off is removed from the file.

    Raises NotResumable, FileFault or OSError.
    """
    last = _last_line(path)
    if last is None:
        return selection.after
    event = await store.reader.at(last.position)
    if last.position <= selection.after or event is None or event.raw != last.raw:
        raise NotResumable(f"{path}, line {last.number}: is not what this log holds at position {last.position}")
    return last.position


def _last_line(path: Path) -> Line | None:
    """None for a file that is not there or has no whole line; what comes after the last whole line is cut off."""
    if not path.exists():
        return None
    if is_compressed(path):
        raise NotResumable(f"{path} is compressed: only a plain export can be resumed")
    lines = deque(read_lines(path, strict=False), maxlen=1)
    _cut(path)
    return lines.pop() if lines else None


def _cut(path: Path) -> None:
    """To the end of the last whole line."""
    with path.open("r+b") as file:
        end = file.seek(0, 2)
        while end:
            start = max(0, end - _BLOCK)
            file.seek(start)
            newline = file.read(end - start).rfind(b"\n")
            if newline >= 0:
                file.truncate(start + newline + 1)
                return
            end = start
        file.truncate(0)
