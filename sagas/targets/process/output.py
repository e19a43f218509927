"""What releases write: kept line by line in two files each, of which the older one is dropped when both are full.

`reading` gives it back.
"""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import msgspec

from sagas.targets.port import LogLine, LogStream
from sagas.targets.process.reading import files_of, last_lines

_LOG_SIZE: Final = 5 * 1024 * 1024
_LINE_SIZE: Final = 64 * 1024
_TRUNCATED: Final = " … (truncated)"


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
    """The log of one release, written to. Raises OSError where the disk does."""

    def __init__(self, directory: Path, start_key: str, size: int = _LOG_SIZE) -> None:
        directory.mkdir(mode=0o700, exist_ok=True)
        self._current, self._older = files_of(directory, start_key)
        self._half = size // 2
        self._last = max((line.number for line in last_lines(directory, start_key, 1)), default=0)
        self._is_cut = False
        self._file = self._open()

    def write(self, stream: LogStream, texts: list[str]) -> None:
        if not texts:
            return
        time = datetime.now(UTC)
        lines = [LogLine(self._last + n, time, stream, text) for n, text in enumerate(texts, 1)]
        if self._file.tell() > self._half:
            self._rotate()
        data = (b"\n" if self._is_cut else b"") + msgspec.json.Encoder().encode_lines(lines)
        self._is_cut = self._file.write(data) < len(data)  # the disk is full
        self._last += len(lines)

    def close(self) -> None:
        self._file.close()

    def _open(self):
        file = self._current.open("ab", buffering=0)
        if file.tell() and not _ends_line(self._current):
            file.write(b"\n")
        return file

    def _rotate(self) -> None:
        """What cannot be opened leaves the log where it was."""
        full = self._file
        self._current.replace(self._older)
        self._file = self._open()
        full.close()


def _ends_line(file: Path) -> bool:
    with file.open("rb") as content:
        content.seek(-1, os.SEEK_END)
        return content.read(1) == b"\n"
