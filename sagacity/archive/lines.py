"""The lines of an export, written and read."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Final, NamedTuple

import msgspec

_GZIP: Final = b"\x1f\x8b"


class FileFault(Exception):
    """The file cannot be read as an export; the text names it and says why."""


class Line(NamedTuple):
    """`number` counts the file's lines from 1; `raw` is the event's exact bytes."""

    number: int
    position: int
    raw: bytes


class _Document(msgspec.Struct, forbid_unknown_fields=True):
    position: int
    event: msgspec.Raw = msgspec.Raw()
    raw: bytes | None = msgspec.field(default=None, name="bytes")


_decoder = msgspec.json.Decoder(_Document)
_encoder = msgspec.json.Encoder()


def encode_line(position: int, raw: bytes) -> bytes:
    """Whatever the bytes are, `read_lines` gives back the very same ones."""
    line = b'{"position":%d,"event":%b}\n' % (position, raw)
    if b"\n" not in raw and b"\r" not in raw and _bytes_in(line) == raw:
        return line
    return _encoder.encode(_Document(position, _readable(raw), raw)) + b"\n"


def read_lines(path: Path, *, strict: bool = True) -> Iterator[Line]:
    """The lines of a plain or gzip-compressed export, one by one.

    Raises FileFault at the first line that is none; without `strict`, a last line that was cut off ends the file.
    """
    try:
        with _open(path) as file:
            for number, text in enumerate(file, 1):
                if not strict and not text.endswith(b"\n"):
                    return
                yield _line(path, number, text)
    except (OSError, EOFError, zlib.error) as error:
        raise FileFault(f"{path} cannot be read: {_reason(error)}") from error


def is_compressed(path: Path) -> bool:
    """Raises OSError."""
    with path.open("rb") as file:
        return file.read(2) == _GZIP


def _open(path: Path) -> IO[bytes]:
    return gzip.open(path) if is_compressed(path) else path.open("rb")  # pyright: ignore[reportReturnType]


def _line(path: Path, number: int, text: bytes) -> Line:
    try:
        document = _decoder.decode(text)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise FileFault(f"{path}, line {number}: no line of an export: {error}") from error
    raw = bytes(document.event) if document.raw is None else document.raw
    return Line(number, document.position, raw)


def _bytes_in(line: bytes) -> bytes | None:
    try:
        return bytes(_decoder.decode(line).event)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None


def _readable(raw: bytes) -> msgspec.Raw:
    try:
        return msgspec.Raw(msgspec.json.format(raw, indent=-1))
    except (msgspec.DecodeError, UnicodeDecodeError):
        return msgspec.Raw(b"null")


def _reason(error: Exception) -> str:
    return (error.strerror if isinstance(error, OSError) else None) or str(error)
