"""A backup as one tar file."""

from __future__ import annotations

import os
import shutil
import tarfile
from collections.abc import Sequence
from pathlib import Path

from eventstore.blobs import BUCKET, OBSERVED
from sagacity.archive.blobs import LIST, listed


def pack(directory: Path, names: Sequence[str], packed: Path) -> None:
    """These files, and the blobs."""
    with packed.open("wb") as sink:
        with tarfile.open(fileobj=sink, mode="w") as tar:
            for name in (*names, LIST, *listed(directory)):
                tar.add(directory / name, name)
        sink.flush()
        os.fsync(sink.fileno())


def unpack(place: Path, names: Sequence[str], scratch: Path) -> None:
    """Only the names that a backup has: nothing else of the file is looked at. Blobs may be missing.

    Raises what `tarfile` and `listed` raise, KeyError for one of `names` that is not there.
    """
    with tarfile.open(place) as tar:
        for name in names:
            _extract(tar, name, scratch)
        there = set(tar.getnames())
        if LIST in there:
            _extract(tar, LIST, scratch)
            for bucket in (BUCKET, OBSERVED):
                (scratch / bucket).mkdir()
            for name in there.intersection(listed(scratch)):
                _extract(tar, name, scratch)


def _extract(tar: tarfile.TarFile, name: str, scratch: Path) -> None:
    member = tar.extractfile(name)
    if member is None:
        raise KeyError(f"its {name} is no file")
    with (scratch / name).open("wb") as sink:
        shutil.copyfileobj(member, sink)
