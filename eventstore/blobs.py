"""Files by the hash of their content, in two object stores beside the log. It refers to them by their SHA-256.

What must be kept is in BLOBS: data sets, artifacts, references. Observed rows are in OBSERVED, for a time. What is
stored says the same for ever; the same content is stored once.
"""

from __future__ import annotations

import asyncio
import hashlib
import re
from base64 import urlsafe_b64decode
from binascii import Error as NotBase64
from contextlib import suppress
from datetime import datetime
from io import BufferedIOBase, BytesIO
from typing import TYPE_CHECKING, Any, Final, Literal

from nats.errors import Error as NatsError
from nats.js.api import ObjectInfo, ObjectStoreConfig
from nats.js.client import JetStreamContext
from nats.js.errors import (
    BadObjectMetaError,
    BadRequestError,
    BucketNotFoundError,
    DigestMismatchError,
    ObjectNotFoundError,
)
from nats.js.object_store import ObjectStore

from eventstore.connection import Connection
from eventstore.envelope import now
from eventstore.errors import LogUnavailable
from eventstore.streams import NO_STREAM, ask, error_code

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

Bucket = Literal["BLOBS", "OBSERVED"]
BUCKET: Final = "BLOBS"
OBSERVED: Final = "OBSERVED"
OBSERVED_FOR: Final = 90 * 86_400.0
"""Seconds for which observed rows are kept."""

LARGEST: Final = 256 * 1024 * 1024
"""Bytes of one blob: it is held in memory whole."""

_FRESH: Final = 0.1
"""Of the time for which a blob is kept: one that was stored earlier is stored again when it is put again."""

_HASH: Final = re.compile(r"[0-9a-f]{64}")
_PAGE: Final = 100_000
"""Subjects that the server names at a time."""

_PATIENCE: Final = 10.0
_SLOWEST: Final = 1_000_000
"""Seconds, and bytes a second, after which parts of a blob are taken for lost."""


class BlobMissing(Exception):
    """Nothing with this hash is stored (any more), or not all of it."""


class BlobTooLarge(Exception):
    """More than LARGEST bytes."""


class NoStore(LogUnavailable):
    """This server was not initialised, or by an earlier version."""


async def create_blobs(connection: Connection, *, replicas: int = 1, observed_for: float | None = None) -> None:
    """Create the stores that are not there. `observed_for`: seconds for which observed rows are kept; not given, it is
    OBSERVED_FOR for a new store, and left as it is otherwise. Raises LogUnavailable."""
    context: JetStreamContext = connection.jetstream()  # pyright: ignore[reportUnknownMemberType]
    for bucket, ttl in ((BUCKET, None), (OBSERVED, observed_for or OBSERVED_FOR)):
        try:
            await context.create_object_store(  # pyright: ignore[reportUnknownMemberType]
                bucket, ObjectStoreConfig(bucket=bucket, replicas=replicas, ttl=ttl)
            )
        except BadRequestError:
            await context.object_store(bucket)  # there already
        except (NatsError, OSError, TimeoutError) as error:
            raise LogUnavailable(f"the store {bucket} was not created: {error}") from error
    if observed_for is not None:
        await _limit(connection, {"max_age": int(observed_for * 1e9)})


async def _limit(connection: Connection, limits: dict[str, Any]) -> None:
    found = (await _information(connection, OBSERVED))["config"]
    if found | limits != found:
        updated = await ask(connection, f"STREAM.UPDATE.OBJ_{OBSERVED}", found | limits)
        if error_code(updated):
            raise LogUnavailable(f"{OBSERVED}: {updated['error']['description']}")


class Blobs:
    """Safe for any number of concurrent callers."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._stores: dict[Bucket, ObjectStore] = {}

    async def put(self, content: bytes, bucket: Bucket = BUCKET) -> str:
        """Its SHA-256, in hexadecimal. What is there already is looked at, and stored again where it is damaged.

        Raises BlobTooLarge, LogUnavailable.
        """
        if len(content) > LARGEST:
            raise BlobTooLarge(f"{len(content)} bytes; at most {LARGEST}")
        hash = hashlib.sha256(content).hexdigest()
        try:
            store = await self._opened(bucket)
            if not (await _lasts(store, hash) and await self._is_intact(bucket, hash)):
                await store.put(hash, content)
        except (NatsError, OSError, TimeoutError) as error:
            raise LogUnavailable(f"a blob was not stored: {error}") from error
        return hash

    async def get(self, hash: str) -> bytes:
        """From wherever it is. Raises BlobMissing, LogUnavailable."""
        try:
            return await self.get_from(BUCKET, hash)
        except BlobMissing:
            # Who was initialised by an earlier version has observed rows in BLOBS, and may have no other store yet.
            with suppress(BlobMissing, NoStore):
                return await self.get_from(OBSERVED, hash)
            raise

    async def get_from(self, bucket: Bucket, hash: str) -> bytes:
        """Raises BlobMissing, LogUnavailable."""
        info = await self._info(bucket, hash)
        try:
            return await self._content(bucket, hash, info)
        except BlobMissing:
            again = await self._info(bucket, hash)
            if again.nuid == info.nuid:
                raise
        return await self._content(bucket, hash, again)  # it was stored again meanwhile, in other parts

    async def _content(self, bucket: Bucket, hash: str, info: ObjectInfo) -> bytes:
        content = BytesIO()
        await self._read(bucket, hash, info, content)
        if (await asyncio.to_thread(hashlib.sha256, content.getbuffer())).hexdigest() != hash:
            raise BlobMissing(f"{hash} is stored as something else")
        return content.getvalue()

    async def _is_intact(self, bucket: Bucket, hash: str) -> bool:
        """Read whole, but not held in memory."""
        content = _Digest()
        try:
            info = await self._info(bucket, hash)
            if await self._is_cut(bucket, info):
                return False
            await self._read(bucket, hash, info, content)
        except BlobMissing:
            return False
        return content.sha256.hexdigest() == hash

    async def _info(self, bucket: Bucket, hash: str) -> ObjectInfo:
        """Raises BlobMissing, LogUnavailable."""
        try:
            return await (await self._opened(bucket)).get_info(hash)
        except (ObjectNotFoundError, BadObjectMetaError) as error:
            raise BlobMissing(hash) from error
        except (NatsError, OSError, TimeoutError) as error:
            raise LogUnavailable(f"the blob {hash} was not read: {error}") from error

    async def _read(self, bucket: Bucket, hash: str, info: ObjectInfo, sink: BufferedIOBase) -> None:
        """Raises BlobMissing, LogUnavailable."""
        try:
            store = await self._opened(bucket)
            # nats-py waits for ever for parts that are gone, and joins them in quadratic time if it may.
            async with asyncio.timeout(_PATIENCE + (info.size or 0) / _SLOWEST):
                await store.get(hash, writeinto=sink)
        except (DigestMismatchError, ObjectNotFoundError, BadObjectMetaError) as error:
            raise BlobMissing(f"{hash} is stored as something else, or in part") from error
        except (NatsError, OSError, TimeoutError) as error:
            if await self._is_cut(bucket, info):
                raise BlobMissing(hash) from error
            raise LogUnavailable(f"the blob {hash} was not read: {error}") from error

    async def hashes(self, bucket: Bucket) -> list[str]:
        """Of all that is stored there, in order. Raises NoStore, LogUnavailable."""
        metadata = f"$O.{bucket}.M."
        found: list[str] = []
        while True:
            subjects = await _subjects(self._connection, bucket, f"{metadata}>", len(found))
            found += [_named(subject.removeprefix(metadata)) for subject in subjects]
            if len(subjects) < _PAGE:
                return sorted(filter(_HASH.fullmatch, found))

    async def _is_cut(self, bucket: Bucket, info: ObjectInfo) -> bool:
        """Its parts grow old before what tells of them."""
        parts = f"$O.{bucket}.C.{info.nuid}"
        there = await _subjects(self._connection, bucket, parts)
        return there.get(parts, 0) < (info.chunks or 0)

    async def _opened(self, bucket: Bucket) -> ObjectStore:
        if bucket not in self._stores:
            context: JetStreamContext = self._connection.jetstream()  # pyright: ignore[reportUnknownMemberType]
            try:
                self._stores[bucket] = await context.object_store(bucket)
            except BucketNotFoundError as error:
                raise _no_store(bucket) from error
        return self._stores[bucket]


class _Digest(BufferedIOBase):
    """Of what is written."""

    def __init__(self) -> None:
        self.sha256 = hashlib.sha256()

    def write(self, buffer: ReadableBuffer, /) -> int:
        self.sha256.update(buffer)
        return len(memoryview(buffer))


async def _lasts(store: ObjectStore, hash: str) -> bool:
    """Whether it is there, and stays for nearly as long as if it came now."""
    try:
        info = await store.get_info(hash)
    except ObjectNotFoundError:
        return False
    ttl = (await store.status()).ttl
    return not ttl or (now() - datetime.fromisoformat(str(info.mtime))).total_seconds() < _FRESH * ttl


async def _subjects(connection: Connection, bucket: Bucket, wanted: str, offset: int = 0) -> dict[str, int]:
    """Of the messages in a store, with their numbers; as many as the server names at a time."""
    answer = await _information(connection, bucket, {"subjects_filter": wanted, "offset": offset})
    return answer["state"].get("subjects") or {}


async def _information(connection: Connection, bucket: Bucket, wanted: dict[str, Any] | None = None) -> dict[str, Any]:
    """Of the stream behind a store. Raises NoStore, LogUnavailable."""
    answer = await ask(connection, f"STREAM.INFO.OBJ_{bucket}", wanted, timeout=30.0)
    if error_code(answer) == NO_STREAM:
        raise _no_store(bucket)
    if error_code(answer):
        raise LogUnavailable(f"{bucket}: {answer['error']['description']}")
    return answer


def _no_store(bucket: Bucket) -> NoStore:
    return NoStore(f"there is no store {bucket}; `sagacity init` creates it")


def _named(token: str) -> str:
    """What an object is called; empty for what none is called."""
    try:
        return urlsafe_b64decode(token).decode()
    except (NotBase64, UnicodeDecodeError):
        return ""
