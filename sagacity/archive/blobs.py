"""What the log names by hash, in a backup: a file for each, `<store>/<hash>`, and a list that `sha256sum -c` reads."""

from __future__ import annotations

import asyncio
import hashlib
import re
from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from typing import Final, NamedTuple, cast

from eventstore.blobs import BUCKET, OBSERVED, BlobMissing, Blobs, Bucket, NoStore
from sagacity.archive.files import sha256_of, write

LIST: Final = "blobs.sha256"
_BUCKETS: Final[tuple[Bucket, ...]] = (BUCKET, OBSERVED)
_LINE: Final = re.compile(rf"([0-9a-f]{{64}})  ((?:{BUCKET}|{OBSERVED})/\1)")


class Saved(NamedTuple):
    """`lost` are those that must be kept and are missing, or damaged."""

    blobs: int
    lost: tuple[str, ...]


async def save_blobs(
    blobs: Blobs, directory: Path, named: Collection[str], on_progress: Callable[[int, int], None]
) -> Saved:
    """All that there are, and their list. `named`: those that must be there. Raises LogUnavailable, OSError."""
    saved: list[str] = []
    stored: list[tuple[Bucket, str]] = []
    for bucket in _BUCKETS:
        (directory / bucket).mkdir()
        stored.extend((bucket, hash) for hash in await _hashes(blobs, bucket))
    lost = {f"{BUCKET}/{hash}" for hash in named}
    for number, (bucket, hash) in enumerate(stored, 1):
        name = f"{bucket}/{hash}"
        try:
            await asyncio.to_thread(write, directory / name, await blobs.get_from(bucket, hash))
            saved.append(f"{hash}  {name}\n")
            lost.discard(name)
        except BlobMissing:
            if bucket != OBSERVED:  # whose time may have come meanwhile
                lost.add(name)
        on_progress(number, len(stored))
    write(directory / LIST, "".join(saved).encode())
    return Saved(len(saved), tuple(sorted(lost)))


async def _hashes(blobs: Blobs, bucket: Bucket) -> list[str]:
    try:
        return await blobs.hashes(bucket)
    except NoStore:  # of an earlier version
        return []


def listed(directory: Path) -> list[str]:
    """The files that must be there. Raises OSError, ValueError for a list that is none."""
    lines = (directory / LIST).read_text().splitlines()
    matches = [_LINE.fullmatch(line) for line in lines]
    if None in matches:
        raise ValueError(f"{LIST}, line {matches.index(None) + 1}: no line of a list of blobs")
    return [match[2] for match in matches if match]


def differences(directory: Path, list_hash: str) -> Iterator[str]:
    """Of the list from what it should be; or of the files from the list."""
    try:
        digest, names = sha256_of(directory / LIST), listed(directory)
    except (OSError, ValueError) as error:
        yield f"{LIST} cannot be read: {error.strerror if isinstance(error, OSError) else error}"
        return
    if digest != list_hash:
        yield f"the SHA-256 of {LIST} is {digest}, not {list_hash}"
        return
    for name in names:
        try:
            if sha256_of(directory / name) != name.rpartition("/")[2]:
                yield f"{name} was changed"
        except FileNotFoundError:
            yield f"{name} is missing"
        except OSError as error:
            yield f"{name} cannot be read: {error.strerror}"


async def restore_blobs(blobs: Blobs, directory: Path, on_progress: Callable[[int, int], None]) -> int:
    """Of a backup without differences; those that are there already stay. Raises LogUnavailable, OSError, BlobMissing
    for a file that was changed meanwhile."""
    names = listed(directory)
    for number, name in enumerate(names, 1):
        bucket, _, hash = name.partition("/")
        content = await asyncio.to_thread((directory / name).read_bytes)
        if hashlib.sha256(content).hexdigest() != hash:
            raise BlobMissing(f"{name} was changed")
        await blobs.put(content, cast(Bucket, bucket))
        on_progress(number, len(names))
    return len(names)
