"""A disk that is full: the write is refused, nothing is half-written, and it goes on when there is room again."""

import asyncio
import os
import subprocess
from contextlib import contextmanager
from pathlib import Path

import msgspec
import pytest

from api.problems import problem_of
from eventstore.catalogue import Catalogue
from eventstore.connection import connect_to
from eventstore.envelope import Context, StreamId, now
from eventstore.errors import LogFull, LogUnavailable
from eventstore.store import EventStore, StreamWrite
from eventstore.streams import create_log
from tests.eventstore.servers import Node, free_ports

ME = Context(time=now(), actor="ann", correlation_id="talk")


class Noted(msgspec.Struct, frozen=True, tag="thing.noted"):
    text: str


def two_streams(number):
    """One write of two streams: either both are there afterwards, or neither."""
    text = "".join(f"{number}-{digit}" for digit in range(600))
    return [StreamWrite(StreamId("thing", f"{side}{number}"), 0, [Noted(text)]) for side in "ab"]


@contextmanager
def running(node):
    node.start()
    try:
        yield node
    finally:
        node.stop()


async def opened(node):
    connection = await connect_to(node.url)
    await create_log(connection)
    return connection, await EventStore.open(connection, Catalogue([Noted]))


async def write_until_refused(store):
    for number in range(5_000):
        try:
            await store.append_all(two_streams(number), ME, timeout=1)
        except LogUnavailable:
            return
    raise AssertionError("there is always room")


async def test_a_server_that_reaches_its_limit_says_so(tmp_path):
    """Of the write at which it happens a part may be stored (its outcome is uncertain); of later ones nothing is."""
    node = Node("full", tmp_path, free_ports(1)[0], limits="max_file_store: 2MB")
    with running(node):
        connection, store = await opened(node)
        await write_until_refused(store)
        with pytest.raises(LogFull, match="no room left") as full:
            await store.append_all(two_streams(9_999), ME)
        problem = problem_of(full.value, "/api/v1/commands")
        assert (problem.status, problem.type) == (507, "/problems/log-full")
        for side in "ab":
            assert await store.load(StreamId("thing", f"{side}9999"), latest=True) == []
        await store.close()
        await connection.close()


async def test_a_store_that_is_told_to_takes_no_more_for_a_while_not_even_what_waits_already(tmp_path):
    node = Node("told", tmp_path, free_ports(1)[0])
    with running(node):
        connection, store = await opened(node)
        waiting = [asyncio.create_task(store.append_all(two_streams(number), ME)) for number in range(5_000)]
        await asyncio.sleep(0)
        store.take_no_more("1 MB is left on the disk")
        outcomes = await asyncio.gather(*waiting, return_exceptions=True)
        refused = [outcome for outcome in outcomes if isinstance(outcome, LogFull)]
        assert len(refused) > 1_000
        with pytest.raises(LogFull, match="1 MB is left"):
            await store.append_all(two_streams(9_999), ME)
        assert (await store.state()).last == 2 * (5_000 - len(refused))
        store.take_no_more(None)
        await store.append_all(two_streams(9_999), ME)
        await store.close()
        await connection.close()


def fill(file):
    subprocess.run(["dd", "if=/dev/zero", f"of={file}", "bs=64k"], capture_output=True, check=False)


@contextmanager
def small_disk(place):
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=14m", "tmpfs", str(place)], capture_output=True)
    if mounted.returncode:
        pytest.skip("no file system can be mounted here")
    try:
        yield place
    finally:
        subprocess.run(["umount", str(place)], check=True)


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root and a small file system")
async def test_a_disk_that_others_fill_only_delays(tmp_path: Path):
    with small_disk(tmp_path):
        node = Node("filled", tmp_path, free_ports(1)[0])
        with running(node):
            connection, store = await opened(node)
            await store.append_all(two_streams(0), ME)
            filler = tmp_path / "filler"
            fill(filler)
            with pytest.raises(LogUnavailable, match="no certain outcome within 1 s; the log said"):
                await store.append_all(two_streams(1), ME, timeout=1)
            assert (await store.state()).last == 2
            filler.unlink()
            await store.append_all(two_streams(1), ME)
            await store.append_all(two_streams(2), ME)
            assert (await store.state()).last == 6
            await store.close()
            await connection.close()
