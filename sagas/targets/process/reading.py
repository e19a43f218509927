"""What releases wrote, read without reading all of it: followers ask twice a second, and ask for the end.

The numbers of the lines rise through a file, so the place of a number is found by halving the file. A line that a
crash cut off is left out.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import BinaryIO, Final

import msgspec

from sagas.targets.port import LogLine

_NEAR: Final = 16 * 1024
"""Bytes that are read through rather than halved again."""

_BLOCK: Final = 64 * 1024

_decoder = msgspec.json.Decoder(LogLine)


def files_of(directory: Path, start_key: str) -> tuple[Path, Path]:
    """(what is written to, what is full)"""
    return directory / f"{start_key}.log", directory / f"{start_key}.1.log"


def read_log(directory: Path, start_key: str, after: int, limit: int) -> tuple[LogLine, ...]:
    """The oldest `limit` lines with a number above `after`."""
    found: list[LogLine] = []
    with ExitStack() as stack:
        for file in _opened(directory, start_key, stack):
            _seek(file, after)
            for line in _lines(file):
                if len(found) >= limit:
                    return tuple(found)
                if line.number > after:
                    found.append(line)
                    after = line.number
    return tuple(found)


def last_lines(directory: Path, start_key: str, count: int) -> list[LogLine]:
    found: list[LogLine] = []
    with ExitStack() as stack:
        for file in reversed(_opened(directory, start_key, stack)):
            if len(found) < count:
                found = _tail(file, count - len(found)) + found
    return found


def _opened(directory: Path, start_key: str, stack: ExitStack) -> list[BinaryIO]:
    """Oldest first. Opened newest first: a file that is full in the meantime is then seen twice, and not missed."""
    files: list[BinaryIO] = []
    for path in files_of(directory, start_key):
        try:
            files.insert(0, stack.enter_context(path.open("rb")))
        except FileNotFoundError:
            continue
    return files


def _seek(file: BinaryIO, after: int) -> None:
    """To the beginning of a line that no line with a number above `after` comes before."""
    low, high = 0, file.seek(0, io.SEEK_END)
    while high - low > _NEAR:
        middle = (low + high) // 2
        file.seek(middle)
        file.readline()
        line = next(_lines(file, high), None)
        if line is not None and line.number <= after:
            low = file.tell()
        else:
            high = middle
    file.seek(low)


def _lines(file: BinaryIO, end: int | None = None) -> Iterator[LogLine]:
    """From where the file stands; with `end` those that begin before it."""
    while (end is None or file.tell() < end) and (content := file.readline()):
        line = _line(content)
        if line is not None:
            yield line


def _tail(file: BinaryIO, count: int) -> list[LogLine]:
    size, start = _BLOCK, file.seek(0, io.SEEK_END)
    while True:
        start = max(0, file.seek(0, io.SEEK_END) - size)
        file.seek(start)
        if start:
            file.readline()
        found = [line for content in file.read(size).split(b"\n") if (line := _line(content)) is not None]
        if len(found) >= count or not start:
            return found[-count:]
        size *= 4


def _line(content: bytes) -> LogLine | None:
    try:
        return _decoder.decode(content)
    except msgspec.DecodeError:
        return None
