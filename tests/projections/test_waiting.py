"""Waiting for a read model: told at once, at the cost of one look for all, and never by what a log once was."""

import asyncio
import os
import signal
from contextlib import asynccontextmanager, suppress

import asyncpg
import pytest
import pytest_asyncio

from eventstore.streams import ask, create_log
from eventstore.tasks import end_tasks
from handlers.command import CommandRequest
from projections.queries import NotReached
from sagacity.wiring import open_core
from tests.projections.platform import ME, projecting

NAMES = ("organizations", "stacks", "commands")
LISTENING = "SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'LISTEN%' AND datname = current_database()"


@pytest_asyncio.fixture
async def platform(own_nats, database_url):
    async with projecting(own_nats.url, database_url) as platform:
        yield platform


@pytest.fixture
def only_when_told(monkeypatch):
    """Nobody looks again just because time has passed."""
    monkeypatch.setattr("projections.progress._FLOOR", 60.0)


@pytest.fixture
def looks(monkeypatch):
    """Every question to the checkpoints."""
    found = []
    for name in ("fetch", "fetchrow", "fetchval"):
        monkeypatch.setattr(asyncpg.Connection, name, noting(found, getattr(asyncpg.Connection, name)))
    return found


def noting(found, ask):
    async def asked(connection, query, *arguments, **more):
        if "position FROM projections.checkpoint" in query:
            found.append(query)
        return await ask(connection, query, *arguments, **more)

    return asked


@asynccontextmanager
async def listening(platform):
    task = asyncio.create_task(platform.models.listen())
    async with asyncio.timeout(10):
        while not await platform.pool.fetchval(LISTENING):
            await asyncio.sleep(0.01)
    try:
        yield
    finally:
        await end_tasks(task)


async def register(platform, *names):
    for name in names:
        await platform.command("organization.register", name, {"name": name})


async def projected(platform, position):
    """Without a look that counts."""
    onlooker = await asyncpg.connect(platform.url)
    async with asyncio.timeout(20):
        while await onlooker.fetchval("SELECT min(position) FROM projections.checkpoint") < position:
            await asyncio.sleep(0.01)
    await onlooker.close()


async def test_nobody_who_waits_misses_the_news(platform, only_when_told):
    """Each waits for another position while one after the other is reached, and others come and go."""
    async with platform.running(), listening(platform):
        await register(platform, "first")
        await platform.caught_up()
        head = await platform.head()
        passing = [asyncio.create_task(come_and_go(platform)) for _ in range(3)]
        async with asyncio.timeout(20):
            for i in range(40):
                wanted = head + 8 * (i + 1)
                waiting = [asyncio.create_task(platform.models.wait_for(name, wanted, 60)) for name in NAMES]
                await register(platform, *(f"o{i}-{j}" for j in range(4)))
                assert await asyncio.gather(*waiting) == [wanted] * len(NAMES)
        await end_tasks(*passing)


async def come_and_go(platform):
    while True:
        with suppress(NotReached):
            await platform.models.wait_for("organizations", 10**9, 0)


async def test_one_look_serves_all_who_wait_and_none_is_taken_for_news_of_too_little(platform, only_when_told, looks):
    async with platform.running(), listening(platform):
        await register(platform, "first")
        await platform.caught_up()
        head = await platform.head()
        looks.clear()
        waiting = [asyncio.create_task(platform.models.wait_for("organizations", head + 40, 30)) for _ in range(200)]
        await register(platform, *(f"o{i}" for i in range(19)))
        await projected(platform, head + 38)
        assert len(looks) == 1
        await register(platform, "last")
        await asyncio.wait_for(asyncio.gather(*waiting), 20)
    assert len(looks) <= 3


async def test_a_position_of_a_log_that_was_replaced_is_waited_for_again(platform, own_nats):
    async with platform.running():
        await register(platform, *(f"o{i}" for i in range(20)))
        await platform.caught_up()
        past = await platform.head()
        assert await platform.models.wait_for("organizations", past, 0) == past
        await ask(platform.core.connection, "STREAM.DELETE.EVENTS")
        await create_log(platform.core.connection)
        async with open_core(own_nats.url) as core:
            rebuild = CommandRequest(type="projection.rebuild", stream_id="organizations")
            requested = (await core.handler.handle(rebuild, ME)).position
        async with asyncio.timeout(20):
            while await platform.models.position("organizations") != requested:
                await asyncio.sleep(0.05)
        assert await platform.models.wait_for("organizations", requested, 0) == requested
        with pytest.raises(NotReached, match=f"organizations has reached position {requested}, not yet {past}"):
            await platform.models.wait_for("organizations", past, 0.3)


async def test_a_connection_that_died_silently_keeps_nobody_who_waits_for_long(platform, monkeypatch):
    """It is one for all: here PostgreSQL works on, but the process behind the connection is stopped."""
    monkeypatch.setattr("projections.progress._PATIENCE", 0.3)
    async with platform.running():
        await register(platform, "first")
        await platform.caught_up()
        async with platform.pool.acquire() as connection:
            pid = connection.get_server_pid()
        os.kill(pid, signal.SIGSTOP)
        try:
            async with asyncio.timeout(10):
                with pytest.raises(TimeoutError):
                    await platform.models.position("organizations")
                while True:
                    with suppress(TimeoutError):
                        assert await platform.models.position("organizations") == await platform.head()
                        break
        finally:
            os.kill(pid, signal.SIGCONT)
