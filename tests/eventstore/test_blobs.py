"""Blobs on a real server: what was put is what one gets, once, or one hears that it is not so."""

import asyncio
import hashlib
import os
from contextlib import asynccontextmanager, suppress

import pytest
import pytest_asyncio

from eventstore.blobs import BUCKET, LARGEST, BlobMissing, Blobs, BlobTooLarge, create_blobs
from eventstore.connection import connect_to
from eventstore.errors import LogUnavailable
from models.data.recent import RecentBlobs


@asynccontextmanager
async def connected(url):
    connection = await connect_to(url)
    try:
        yield connection
    finally:
        with suppress(OSError):  # the server may be away
            await connection.close()


@pytest_asyncio.fixture
async def connection(log_url):
    async with connected(log_url) as connection:
        yield connection


@pytest.fixture
def blobs(connection):
    return Blobs(connection)


async def stored_bytes(connection):
    return (await connection.jetstream().stream_info(f"OBJ_{BUCKET}")).state.bytes


@pytest.mark.parametrize("size", [0, 1, 128 * 1024, 3_000_000])
async def test_what_was_put_is_what_one_gets_by_its_hash(blobs, size):
    content = os.urandom(size)
    hash = await blobs.put(content)
    assert hash == hashlib.sha256(content).hexdigest()
    assert await blobs.get(hash) == content


async def test_the_same_content_is_stored_once(blobs, connection):
    content = os.urandom(500_000)
    first = await blobs.put(content)
    before = await stored_bytes(connection)
    assert await blobs.put(content) == first
    assert await stored_bytes(connection) == before


async def test_many_may_put_the_same_at_once(blobs):
    content = os.urandom(300_000)
    (hash,) = set(await asyncio.gather(*(blobs.put(content) for _ in range(8))))
    assert await blobs.get(hash) == content


async def test_another_process_connection_finds_it(blobs, log_url):
    hash = await blobs.put(b"known to all")
    async with connected(log_url) as other:
        assert await Blobs(other).get(hash) == b"known to all"


async def test_what_was_never_put_is_missing(blobs):
    with pytest.raises(BlobMissing):
        await blobs.get("0" * 64)


async def test_what_is_stored_as_something_else_is_missing(blobs, connection):
    """Whoever writes into the bucket by himself cannot pass another file off as this one."""
    hash = hashlib.sha256(b"the file").hexdigest()
    bucket = await connection.jetstream().object_store(BUCKET)
    await bucket.put(hash, b"another file")
    with pytest.raises(BlobMissing, match="something else"):
        await blobs.get(hash)


async def test_a_blob_that_would_not_fit_in_memory_is_refused_before_it_is_stored(blobs, connection):
    before = await stored_bytes(connection)
    with pytest.raises(BlobTooLarge):
        await blobs.put(bytes(LARGEST + 1))
    assert await stored_bytes(connection) == before


async def test_to_create_the_store_again_changes_nothing(blobs, connection):
    hash = await blobs.put(b"kept")
    await create_blobs(connection)
    assert await Blobs(connection).get(hash) == b"kept"


async def test_a_server_without_the_store_says_how_it_is_made(own_nats):
    await own_nats.ready()
    async with connected(own_nats.url) as connection:
        with pytest.raises(LogUnavailable, match="sagacity init"):
            await Blobs(connection).put(b"x")


async def test_a_server_that_is_away_is_the_log_that_is_away(own_nats):
    await own_nats.ready()
    async with connected(own_nats.url) as connection:
        await create_blobs(connection)
        blobs = Blobs(connection)
        hash = await blobs.put(b"x")
        own_nats.nodes[0].kill()
        answers = await asyncio.gather(blobs.get(hash), blobs.put(b"y"), return_exceptions=True)
        assert [type(answer) for answer in answers] == [LogUnavailable, LogUnavailable]


async def test_blobs_that_were_read_are_at_hand_until_others_take_their_room(blobs, connection):
    recent = RecentBlobs(25)
    first, second, third, large = [await blobs.put(bytes([n]) * size) for n, size in enumerate((10, 10, 10, 26))]
    for hash in (first, second, first, third):
        await recent.get(blobs, hash)
    bucket = await connection.jetstream().object_store(BUCKET)
    for hash in (first, second, third):
        await bucket.delete(hash)
    assert await recent.get(blobs, first) == bytes(10)
    assert await recent.get(blobs, third) == b"\2" * 10
    with pytest.raises(BlobMissing):
        await recent.get(blobs, second)
    assert await recent.get(blobs, large) == b"\3" * 26
    await bucket.delete(large)
    with pytest.raises(BlobMissing):
        await recent.get(blobs, large)
