"""What releases write: kept line by line in two files each, of which the older one is dropped when both are full."""

from __future__ import annotations

import os
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import msgspec

from sagas.targets.port import LogLine, LogStream

_LOG_SIZE: Final = 5 * 1024 * 1024
_LINE_SIZE: Final = 64 * 1024
_TRUNCATED: Final = " … (truncated)"

_decoder = msgspec.json.Decoder(LogLine)


class Lines:
    """Cuts what is read into lines of at most 64 KiB; of a longer line the rest is dropped."""

    def __init__(self) -> None:
        self._rest = b""
        self._dropping = False

    def cut(self, data: bytes) -> list[str]:
        *complete, self._rest = (self._rest + data).split(b"\n")
        texts: list[str] = []
        for line in complete:
            if not self._dropping:
                texts.append(_text(line))
            self._dropping = False
        if len(self._rest) > _LINE_SIZE:
            if not self._dropping:
                texts.append(_text(self._rest))
            self._rest, self._dropping = b"", True
        return texts

    def end(self) -> list[str]:
        """The last line, if it was not ended."""
        rest, self._rest = self._rest, b""
        return [_text(rest)] if rest and not self._dropping else []


def _text(line: bytes) -> str:
    cut = line[:_LINE_SIZE].removesuffix(b"\r").decode(errors="replace")
    return cut + _TRUNCATED if len(line) > _LINE_SIZE else cut


class ReleaseLog:
    """The log of one release. Raises OSError where the disk does."""

    def __init__(self, directory: Path, start_key: str, size: int = _LOG_SIZE) -> None:
        directory.mkdir(mode=0o700, exist_ok=True)
        self._current = directory / f"{start_key}.log"
        self._older = directory / f"{start_key}.1.log"
        self._half = size // 2
        self._last = max((line.number for file in (self._older, self._current) for line in _read(file)), default=0)
        self._file = self._open()

    def write(self, stream: LogStream, texts: list[str]) -> None:
        if not texts:
            return
        time = datetime.now(UTC)
        lines = [LogLine(self._last + n, time, stream, text) for n, text in enumerate(texts, 1)]
        if self._file.tell() > self._half:
            self._rotate()
        self._file.write(msgspec.json.Encoder().encode_lines(lines))
        self._last += len(lines)

    def close(self) -> None:
        self._file.close()

    def _open(self):
        file = self._current.open("ab", buffering=0)
        if file.tell() and not _ends_line(self._current):
            file.write(b"\n")
        return file

    def _rotate(self) -> None:
        self._file.close()
        self._current.replace(self._older)
        self._file = self._open()


def read_log(directory: Path, start_key: str, after: int, limit: int) -> tuple[LogLine, ...]:
    """The oldest `limit` lines with a number above `after`."""
    found: list[LogLine] = []
    for name in (f"{start_key}.1.log", f"{start_key}.log"):
        for line in _read(directory / name):
            if line.number > after:
                found.append(line)
                if len(found) == limit:
                    return tuple(found)
    return tuple(found)


def last_lines(directory: Path, start_key: str, count: int) -> list[str]:
    return [line.text for line in read_log(directory, start_key, 0, 10**9)[-count:]]


def _read(file: Path) -> Iterator[LogLine]:
    """A line that a crash cut off is left out."""
    try:
        content = file.read_bytes()
    except FileNotFoundError:
        return
    for line in content.splitlines():
        try:
            yield _decoder.decode(line)
        except msgspec.DecodeError:
            continue


def _ends_line(file: Path) -> bool:
    with file.open("rb") as content:
        content.seek(-1, os.SEEK_END)
        return content.read(1) == b"\n"
