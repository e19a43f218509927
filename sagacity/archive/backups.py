"""A backup: the whole log, compressed, the blobs that it names, and a manifest that says what must be in it.

One directory, or one tar file.
"""

from __future__ import annotations

import gzip
import os
import shutil
import tarfile
import tempfile
import zlib
from collections.abc import Callable, Generator
from contextlib import contextmanager
from datetime import datetime
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Final, Literal

import msgspec

from eventstore.blobs import Blobs
from eventstore.envelope import Recorded, now
from eventstore.errors import UnknownEvent
from eventstore.store import EventStore
from sagacity.archive.audit import Survey, survey_file
from sagacity.archive.blobs import LIST, Saved, differences, save_blobs
from sagacity.archive.exporting import export
from sagacity.archive.files import sha256_of, write
from sagacity.archive.importing import Report
from sagacity.archive.named import named_by
from sagacity.archive.packing import pack, unpack

EVENTS: Final = "events.ndjson.gz"
MANIFEST: Final = "manifest.json"
_SHOWN: Final = 20


class Manifest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`last_hash` is that of the event at `last_position`; `sha256` that of the compressed file of `bytes` bytes.

    `blobs` are in the backup, `blobs_sha256` is that of their list; `lost_blobs` were not there any more. A backup of
    format 1 has none.
    """

    format: Literal["sagacity-backup-1", "sagacity-backup-2"]
    sagacity: str
    created_at: datetime
    events: int
    last_position: int
    last_hash: str
    bytes: int
    sha256: str
    blobs: int = 0
    blobs_sha256: str = ""
    lost_blobs: tuple[str, ...] = ()


class BackupFault(Exception):
    """The backup cannot be made, or is not what its manifest says; the text names every fault."""


async def back_up(store: EventStore, place: Path, report: Report = lambda what, done, last: None) -> Manifest:
    """Write the log as it is now to a new directory, or to a new file when `place` ends with `.tar`.

    It is there whole or not at all, but for lost blobs, which its manifest names. Raises BackupFault (for a log with
    faults too), LogUnavailable.
    """
    with _in_words(place), _appearing(place) as directory:
        await _write_events(store, directory / EVENTS, partial(report, "backing up"))
        # Read back from the file: what is judged, and described by the manifest, is what a restore will find.
        named: set[str] = set()
        survey = survey_file(directory / EVENTS, on_event=lambda event: named.update(_named_by(store, event)))
        if survey.faults:
            raise BackupFault(f"the log has faults, see `sagacity verify`: {_listed(survey.faults)}")
        # After the log: what an event names was stored before it.
        saved = await save_blobs(Blobs(store.connection), directory, named, partial(report, "backing up blobs"))
        manifest = _manifest(directory, survey, saved)
        write(directory / MANIFEST, msgspec.json.format(msgspec.json.encode(manifest), indent=2) + b"\n")
    return manifest


@contextmanager
def opened(place: Path) -> Generator[tuple[Manifest, Path]]:
    """The manifest of a backup whose files are those it describes, and their directory. Raises BackupFault."""
    with tempfile.TemporaryDirectory(prefix="sagacity") as scratch:
        directory = _unpacked(place, Path(scratch)) if place.is_file() else place
        manifest = _read_manifest(directory / MANIFEST)
        faults = list(_differences(manifest, directory / EVENTS))
        if manifest.format != "sagacity-backup-1":
            faults += differences(directory, manifest.blobs_sha256)
        if faults:
            raise BackupFault(f"{place} is not what its manifest says: {_listed(faults)}")
        yield manifest, directory


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
            pack(directory, (MANIFEST, EVENTS), packed)
            packed.rename(place)
        else:
            directory.rename(place)
    finally:
        shutil.rmtree(directory, ignore_errors=True)
        packed.unlink(missing_ok=True)


async def _write_events(store: EventStore, file: Path, on_progress: Callable[[int, int], None]) -> None:
    with file.open("wb") as sink:
        with gzip.GzipFile(fileobj=sink, mode="wb", compresslevel=6, filename="", mtime=0) as compressed:
            await export(store, compressed.write, on_progress=on_progress)
        sink.flush()
        os.fsync(sink.fileno())


def _named_by(store: EventStore, event: Recorded) -> tuple[str, ...]:
    """Nothing, where this program cannot read the event: `verify` tells of it, and it is backed up all the same."""
    try:
        return named_by(store.decode(event))
    except UnknownEvent:
        return ()


def _manifest(directory: Path, survey: Survey, saved: Saved) -> Manifest:
    file = directory / EVENTS
    return Manifest(
        format="sagacity-backup-2",
        sagacity=version("sagacity"),
        created_at=now(),
        events=survey.events,
        last_position=survey.last,
        last_hash=survey.hash,
        bytes=file.stat().st_size,
        sha256=sha256_of(file),
        blobs=saved.blobs,
        blobs_sha256=sha256_of(directory / LIST),
        lost_blobs=saved.lost,
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
        size, digest = file.stat().st_size, sha256_of(file)
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


def _unpacked(place: Path, scratch: Path) -> Path:
    try:
        unpack(place, (MANIFEST, EVENTS), scratch)
    except (tarfile.TarError, KeyError, ValueError, EOFError, zlib.error) as error:
        raise BackupFault(f"{place} is no backup: {error.args[0] if error.args else error}") from error
    return scratch


def _listed(faults: list[str] | tuple[str, ...]) -> str:
    more = f"; and {len(faults) - _SHOWN} more" if len(faults) > _SHOWN else ""
    return "; ".join(faults[:_SHOWN]) + more
