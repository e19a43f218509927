"""Files by the hash of their content, in an object store beside the log: data sets, artifacts, observed rows.

What is stored says the same for ever; the same content is stored once. The log refers to it by its SHA-256.
"""

from __future__ import annotations

import asyncio
import hashlib
from io import BytesIO
from typing import Final

from nats.errors import Error as NatsError
from nats.js.api import ObjectStoreConfig
from nats.js.client import JetStreamContext
from nats.js.errors import BadRequestError, BucketNotFoundError, ObjectNotFoundError
from nats.js.object_store import ObjectStore

from eventstore.connection import Connection
from eventstore.errors import LogUnavailable

BUCKET: Final = "BLOBS"
LARGEST: Final = 256 * 1024 * 1024
"""Bytes of one blob: it is held in memory whole."""

_PATIENCE: Final = 10.0
_SLOWEST: Final = 1_000_000
"""Seconds, and bytes a second, after which parts of a blob are taken for lost."""


class BlobMissing(Exception):
    """Nothing with this hash is stored, or not all of it any more."""


class BlobTooLarge(Exception):
    """More than LARGEST bytes."""


async def create_blobs(connection: Connection, *, replicas: int = 1) -> None:
    """Create the store if it is not there. Raises LogUnavailable."""
    context: JetStreamContext = connection.jetstream()  # pyright: ignore[reportUnknownMemberType]
    try:
        await context.create_object_store(  # pyright: ignore[reportUnknownMemberType]
            BUCKET, ObjectStoreConfig(bucket=BUCKET, replicas=replicas)
        )
    except BadRequestError:
        await context.object_store(BUCKET)  # there already
    except (NatsError, OSError, TimeoutError) as error:
        raise LogUnavailable(f"the store of blobs was not created: {error}") from error


class Blobs:
    """Safe for any number of concurrent callers."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._store: ObjectStore | None = None

    async def put(self, content: bytes) -> str:
        """Its SHA-256, in hexadecimal. Raises BlobTooLarge, LogUnavailable."""
        if len(content) > LARGEST:
            raise BlobTooLarge(f"{len(content)} bytes; at most {LARGEST}")
        hash = hashlib.sha256(content).hexdigest()
        try:
            store = await self._opened()
            if not await _has(store, hash):
                await store.put(hash, content)
        except (NatsError, OSError, TimeoutError) as error:
            raise LogUnavailable(f"a blob was not stored: {error}") from error
        return hash

    async def get(self, hash: str) -> bytes:
        """Raises BlobMissing, LogUnavailable."""
        try:
            store = await self._opened()
            content = BytesIO()
            # nats-py waits for ever for parts that are gone, and joins them in quadratic time if it may.
            async with asyncio.timeout(_PATIENCE + ((await store.get_info(hash)).size or 0) / _SLOWEST):
                await store.get(hash, writeinto=content)
        except ObjectNotFoundError as error:
            raise BlobMissing(hash) from error
        except (NatsError, OSError, TimeoutError) as error:
            raise LogUnavailable(f"the blob {hash} was not read: {error}") from error
        if (await asyncio.to_thread(hashlib.sha256, content.getbuffer())).hexdigest() != hash:
            raise BlobMissing(f"{hash} is stored as something else")
        return content.getvalue()

    async def _opened(self) -> ObjectStore:
        if self._store is None:
            context: JetStreamContext = self._connection.jetstream()  # pyright: ignore[reportUnknownMemberType]
            try:
                self._store = await context.object_store(BUCKET)
            except BucketNotFoundError as error:
                raise LogUnavailable(f"there is no store {BUCKET}; `sagacity init` creates it") from error
        return self._store


async def _has(store: ObjectStore, name: str) -> bool:
    try:
        await store.get_info(name)
    except ObjectNotFoundError:
        return False
    return True
