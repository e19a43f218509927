"""ZIP archives that may be bombs: DOCX and XLSX are such archives too."""

from __future__ import annotations

import zipfile
from collections.abc import Generator
from contextlib import contextmanager
from io import BytesIO

from records.enrich import limits
from records.enrich.content import NotReadable

_ENCRYPTED = 0x1


@contextmanager
def opened(content: bytes) -> Generator[zipfile.ZipFile]:
    """Raises NotReadable for a broken archive, and for one that unpacks to more than may be read."""
    try:
        archive = zipfile.ZipFile(BytesIO(content))
    except (zipfile.BadZipFile, ValueError, OSError, NotImplementedError, EOFError) as error:
        raise NotReadable(f"the archive is broken: {error}") from error
    with archive:
        _check(archive)
        yield archive


def check(content: bytes) -> None:
    """Before a library opens it: every entry is unpacked once, within the limits, and thrown away.

    Declared sizes are not enough: an entry may hold more than it says. Raises NotReadable.
    """
    with opened(content) as archive:
        room = limits.ZIP_UNPACKED
        for entry in archive.infolist():
            room -= _unpacked(archive, entry, room)


def member(archive: zipfile.ZipFile, entry: zipfile.ZipInfo, most: int) -> bytes:
    """Raises NotReadable when it is broken, encrypted, or has more than `most` bytes."""
    if entry.flag_bits & _ENCRYPTED:
        raise NotReadable("it is encrypted")
    try:
        with archive.open(entry) as file:
            content = file.read(most + 1)
    except Exception as error:  # a broken stream raises whatever its compression does: zlib.error, LZMAError, ...
        raise NotReadable(f"the archive is broken: {error}") from error
    if len(content) > most:
        raise NotReadable(f"it has more than {most} bytes")
    return content


def _check(archive: zipfile.ZipFile) -> None:
    entries = archive.infolist()
    if len(entries) > limits.ZIP_ENTRIES:
        raise NotReadable(f"the archive has {len(entries)} entries, at most {limits.ZIP_ENTRIES} are read")
    unpacked = sum(entry.file_size for entry in entries)
    if unpacked > limits.ZIP_UNPACKED:
        raise NotReadable(f"the archive unpacks to {unpacked} bytes, at most {limits.ZIP_UNPACKED} are read")
    for entry in entries:
        if entry.file_size > max(limits.MEGABYTE, limits.ZIP_RATIO * entry.compress_size):
            raise NotReadable(
                f"an entry of the archive is packed {entry.file_size // max(1, entry.compress_size)} fold"
            )


def _unpacked(archive: zipfile.ZipFile, entry: zipfile.ZipInfo, room: int) -> int:
    if entry.flag_bits & _ENCRYPTED:
        raise NotReadable("it is encrypted")
    done = 0
    try:
        with archive.open(entry) as file:
            while block := file.read(limits.MEGABYTE):
                done += len(block)
                if done > room:
                    raise NotReadable(f"the archive unpacks to more than {limits.ZIP_UNPACKED} bytes")
    except NotReadable:
        raise
    except Exception as error:
        raise NotReadable(f"the archive is broken: {error}") from error
    return done
