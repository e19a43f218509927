"""Blobs on a real server: what was put is what one gets, once, or one hears that it is not so."""

import asyncio
import base64
import hashlib
import json
import os
from contextlib import asynccontextmanager, suppress

import pytest
import pytest_asyncio

from eventstore.blobs import (
    BUCKET,
    LARGEST,
    OBSERVED,
    OBSERVED_FOR,
    BlobMissing,
    Blobs,
    BlobTooLarge,
    NoStore,
    create_blobs,
)
from eventstore.connection import connect_to
from eventstore.errors import LogUnavailable
from eventstore.streams import ask
from models.data.recent import RecentBlobs
from tests.eventstore.log import until


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


@pytest_asyncio.fixture
async def forgetful(own_nats):
    """Observed rows are kept for three seconds here."""
    await own_nats.ready()
    async with connected(own_nats.url) as connection:
        await create_blobs(connection, observed_for=3.0)
        yield connection


async def is_gone(blobs, hash):
    try:
        await blobs.get(hash)
    except BlobMissing:
        return True
    return False


async def max_age(connection, bucket):
    return (await connection.jetstream().stream_info(f"OBJ_{bucket}")).config.max_age


async def stored_bytes(connection, bucket=BUCKET):
    return (await connection.jetstream().stream_info(f"OBJ_{bucket}")).state.bytes


@pytest.mark.parametrize("size", [0, 1, 128 * 1024, 3_000_000])
async def test_what_was_put_is_what_one_gets_by_its_hash(blobs, size):
    content = os.urandom(size)
    hash = await blobs.put(content)
    assert hash == hashlib.sha256(content).hexdigest()
    assert await blobs.get(hash) == content


@pytest.mark.parametrize("bucket", [BUCKET, OBSERVED])
async def test_the_same_content_is_stored_once(blobs, connection, bucket):
    content = os.urandom(500_000)
    first = await blobs.put(content, bucket)
    before = await stored_bytes(connection, bucket)
    assert await blobs.put(content, bucket) == first
    assert await stored_bytes(connection, bucket) == before


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


async def test_observed_rows_are_kept_for_a_time_and_everything_else_for_ever(forgetful):
    blobs = Blobs(forgetful)
    kept, rows, both = await blobs.put(b"kept"), await blobs.put(b"rows", OBSERVED), await blobs.put(b"both", OBSERVED)
    await blobs.put(b"both")
    assert (await blobs.hashes(BUCKET), await blobs.hashes(OBSERVED)) == (sorted([kept, both]), sorted([rows, both]))
    assert [await blobs.get(hash) for hash in (kept, rows, both)] == [b"kept", b"rows", b"both"]
    await until(lambda: is_gone(blobs, rows))
    assert [await blobs.get(hash) for hash in (kept, both)] == [b"kept", b"both"]
    assert await blobs.hashes(OBSERVED) == []
    assert await blobs.get(await blobs.put(b"rows", OBSERVED)) == b"rows"


async def test_observed_rows_that_come_again_are_kept_for_longer(forgetful):
    blobs, content = Blobs(forgetful), os.urandom(300_000)
    again, once = await blobs.put(content, OBSERVED), await blobs.put(b"once", OBSERVED)
    await asyncio.sleep(1.5)
    await blobs.put(content, OBSERVED)

    async def once_is_gone():
        return once not in await blobs.hashes(OBSERVED)

    await until(once_is_gone)
    assert await blobs.get(again) == content


async def test_a_blob_of_which_a_part_is_gone_is_missing(blobs, connection):
    content = os.urandom(400_000)
    hash = await blobs.put(content, OBSERVED)
    info = await (await connection.jetstream().object_store(OBSERVED)).get_info(hash)
    await connection.jetstream().purge_stream(f"OBJ_{OBSERVED}", subject=f"$O.{OBSERVED}.C.{info.nuid}", keep=2)
    with pytest.raises(BlobMissing):
        await blobs.get(hash)


async def metadata_with_another_digest(context, hash):
    store = await context.object_store(BUCKET)
    info = await store.get_info(hash)
    info.digest = "SHA-256=" + base64.urlsafe_b64encode(bytes(32)).decode()
    name = base64.urlsafe_b64encode(hash.encode()).decode()
    await context.publish(f"$O.{BUCKET}.M.{name}", json.dumps(info.as_dict()).encode())


async def another_file(context, hash):
    await (await context.object_store(BUCKET)).put(hash, b"another file")


async def a_part_less(context, hash):
    info = await (await context.object_store(BUCKET)).get_info(hash)
    await context.purge_stream(f"OBJ_{BUCKET}", subject=f"$O.{BUCKET}.C.{info.nuid}", keep=2)


async def another_part(context, hash):
    await a_part_less(context, hash)
    info = await (await context.object_store(BUCKET)).get_info(hash)
    for _ in range(info.chunks - 2):
        await context.publish(f"$O.{BUCKET}.C.{info.nuid}", b"x")


@pytest.mark.parametrize("damage", [metadata_with_another_digest, another_file, a_part_less, another_part])
async def test_a_damaged_blob_is_missing_until_it_is_put_again(blobs, connection, damage):
    content = os.urandom(400_000)
    hash = await blobs.put(content)
    await damage(connection.jetstream(), hash)
    with pytest.raises(BlobMissing):
        await blobs.get(hash)
    await blobs.put(content)
    assert await blobs.get(hash) == content


async def test_a_blob_that_is_stored_again_while_it_is_read_is_read_in_its_new_parts(forgetful, monkeypatch):
    monkeypatch.setattr("eventstore.blobs._PATIENCE", 1.0)
    blobs, content, context = Blobs(forgetful), os.urandom(400_000), forgetful.jetstream()
    hash = await blobs.put(content, OBSERVED)
    store = await context.object_store(OBSERVED)
    info = await store.get_info(hash)
    await context.purge_stream(f"OBJ_{OBSERVED}", subject=f"$O.{OBSERVED}.C.{info.nuid}")

    async def waits_for_the_old_parts():
        return (await context.stream_info(f"OBJ_{OBSERVED}")).state.consumer_count == 1

    reading = asyncio.create_task(blobs.get_from(OBSERVED, hash))
    await until(waits_for_the_old_parts)
    await blobs.put(content, OBSERVED)
    assert await reading == content


async def test_how_long_observed_rows_are_kept_can_be_changed(own_nats):
    await own_nats.ready()
    async with connected(own_nats.url) as connection:
        await create_blobs(connection)
        assert (await max_age(connection, OBSERVED), await max_age(connection, BUCKET)) == (OBSERVED_FOR, 0)
        hash = await Blobs(connection).put(b"rows", OBSERVED)
        await create_blobs(connection, observed_for=864.0)
        assert (await max_age(connection, OBSERVED), await max_age(connection, BUCKET)) == (864.0, 0)
        await create_blobs(connection)
        assert await max_age(connection, OBSERVED) == 864.0
        assert await Blobs(connection).get(hash) == b"rows"


async def test_a_server_of_an_earlier_version_keeps_what_it_has(own_nats):
    """There, observed rows are beside everything else."""
    await own_nats.ready()
    async with connected(own_nats.url) as connection:
        await create_blobs(connection)
        await ask(connection, f"STREAM.DELETE.OBJ_{OBSERVED}")
        blobs = Blobs(connection)
        assert await blobs.get(await blobs.put(b"rows")) == b"rows"
        with pytest.raises(BlobMissing):
            await blobs.get("0" * 64)
        with pytest.raises(NoStore, match="sagacity init"):
            await blobs.put(b"more rows", OBSERVED)
        await create_blobs(connection)
        assert await blobs.get(await blobs.put(b"more rows", OBSERVED)) == b"more rows"
