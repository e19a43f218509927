"""A backup: the whole log, compressed, and a manifest that says what must be in it. One directory, or one tar file."""

from __future__ import annotations

import gzip
import hashlib
import os
import shutil
import tarfile
import tempfile
import zlib
from collections.abc import Callable, Generator
from contextlib import contextmanager
from datetime import datetime
from importlib.metadata import version
from pathlib import Path
from typing import Final, Literal

import msgspec

from eventstore.envelope import now
from eventstore.store import EventStore
from sagacity.archive.audit import Survey, survey_file
from sagacity.archive.exporting import export

EVENTS: Final = "events.ndjson.gz"
MANIFEST: Final = "manifest.json"
_SHOWN: Final = 20


class Manifest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`last_hash` is that of the event at `last_position`; `sha256` that of the compressed file of `bytes` bytes."""

    format: Literal["sagacity-backup-1"]
    sagacity: str
    created_at: datetime
    events: int
    last_position: int
    last_hash: str
    bytes: int
    sha256: str


class BackupFault(Exception):
    """The backup cannot be made, or is not what its manifest says; the text names every fault."""


async def back_up(
    store: EventStore, place: Path, on_progress: Callable[[int, int], None] = lambda done, last: None
) -> Manifest:
    """Write the log as it is now to a new directory, or to a new file when `place` ends with `.tar`.

    It is there whole or not at all. Raises BackupFault (for a log with faults too), LogUnavailable.
    """
    with _in_words(place), _appearing(place) as directory:
        survey = await _write_events(store, directory / EVENTS, on_progress)
        if survey.faults:
            raise BackupFault(f"the log has faults, see `sagacity verify`: {_listed(survey.faults)}")
        manifest = _manifest(directory / EVENTS, survey)
        _write(directory / MANIFEST, msgspec.json.format(msgspec.json.encode(manifest), indent=2) + b"\n")
    return manifest


@contextmanager
def opened(place: Path) -> Generator[tuple[Manifest, Path]]:
    """The manifest and the export of a backup whose file is the one the manifest describes. Raises BackupFault."""
    with tempfile.TemporaryDirectory(prefix="sagacity") as scratch:
        directory = _unpacked(place, Path(scratch)) if place.is_file() else place
        manifest = _read_manifest(directory / MANIFEST)
        faults = list(_differences(manifest, directory / EVENTS))
        if faults:
            raise BackupFault(f"{place} is not what its manifest says: {_listed(faults)}")
        yield manifest, directory / EVENTS


@contextmanager
def _in_words(place: Path) -> Generator[None]:
    """The name under which it is written until it is complete is nobody's business."""
    try:
        yield
    except (ConnectionError, TimeoutError):  # it is the log that fails
        raise
    except OSError as error:
        parent = place.absolute().parent
        why = error.strerror or str(error) if parent.is_dir() else f"there is no directory {parent}"
        raise BackupFault(f"{place} cannot be written: {why}") from error


@contextmanager
def _appearing(place: Path) -> Generator[Path]:
    """A directory under another name until it is complete."""
    if place.exists():
        raise BackupFault(f"{place} exists already")
    directory = place.with_name(f".{place.name}.{os.getpid()}")
    packed = directory.with_name(f"{directory.name}.tar")
    try:
        directory.mkdir()
        yield directory
        if place.suffix == ".tar":
            _pack(directory, packed)
            packed.rename(place)
        else:
            directory.rename(place)
    finally:
        shutil.rmtree(directory, ignore_errors=True)
        packed.unlink(missing_ok=True)


async def _write_events(store: EventStore, file: Path, on_progress: Callable[[int, int], None]) -> Survey:
    with file.open("wb") as sink:
        with gzip.GzipFile(fileobj=sink, mode="wb", compresslevel=6, filename="", mtime=0) as compressed:
            await export(store, compressed.write, on_progress=on_progress)
        sink.flush()
        os.fsync(sink.fileno())
    # Read back from the file: what is judged, and described by the manifest, is what a restore will find.
    return survey_file(file)


def _manifest(file: Path, survey: Survey) -> Manifest:
    return Manifest(
        format="sagacity-backup-1",
        sagacity=version("sagacity"),
        created_at=now(),
        events=survey.events,
        last_position=survey.last,
        last_hash=survey.hash,
        bytes=file.stat().st_size,
        sha256=_sha256(file),
    )


def _read_manifest(file: Path) -> Manifest:
    try:
        return msgspec.json.decode(file.read_bytes(), type=Manifest)
    except FileNotFoundError as error:
        raise BackupFault(f"{file.parent} is no backup: it has no {MANIFEST}") from error
    except OSError as error:
        raise BackupFault(f"{file} cannot be read: {error.strerror}") from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise BackupFault(f"{file} is no manifest: {error}") from error


def _differences(manifest: Manifest, file: Path) -> Generator[str]:
    try:
        size, digest = file.stat().st_size, _sha256(file)
    except OSError as error:
        yield f"{file.name} cannot be read: {error.strerror}"
        return
    if size != manifest.bytes:
        yield f"{file.name} has {size} bytes, not {manifest.bytes}"
    if digest != manifest.sha256:
        yield f"the SHA-256 of {file.name} is {digest}, not {manifest.sha256}"
        return
    survey = survey_file(file)
    said = (manifest.events, manifest.last_position, manifest.last_hash)
    if (survey.events, survey.last, survey.hash) != said:
        yield f"{file.name} holds {survey.events} events up to position {survey.last}, or ends with another event"


def _pack(directory: Path, packed: Path) -> None:
    with packed.open("wb") as sink:
        with tarfile.open(fileobj=sink, mode="w") as tar:
            for name in (MANIFEST, EVENTS):
                tar.add(directory / name, name)
        sink.flush()
        os.fsync(sink.fileno())


def _unpacked(place: Path, scratch: Path) -> Path:
    """Only the two names a backup has: nothing else of the file is looked at."""
    try:
        with tarfile.open(place) as tar:
            for name in (MANIFEST, EVENTS):
                member = tar.extractfile(name)
                if member is None:
                    raise BackupFault(f"{place} is no backup: its {name} is no file")
                with (scratch / name).open("wb") as sink:
                    shutil.copyfileobj(member, sink)
    except (tarfile.TarError, KeyError, EOFError, zlib.error) as error:
        raise BackupFault(f"{place} is no backup: {error.args[0] if error.args else error}") from error
    return scratch


def _write(file: Path, content: bytes) -> None:
    with file.open("wb") as sink:
        sink.write(content)
        sink.flush()
        os.fsync(sink.fileno())


def _sha256(file: Path) -> str:
    with file.open("rb") as source:
        return hashlib.file_digest(source, "sha256").hexdigest()


def _listed(faults: list[str] | tuple[str, ...]) -> str:
    more = f"; and {len(faults) - _SHOWN} more" if len(faults) > _SHOWN else ""
    return "; ".join(faults[:_SHOWN]) + more
