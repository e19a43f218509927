"""(a) Appends of one event by many waiting callers, every one durable before it is answered."""

from __future__ import annotations

import asyncio
import functools
import itertools
import socket
import subprocess
import sysconfig
import tempfile
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from uuid import uuid4

import umadb
from nats.js.client import JetStreamContext

from benchmarks.comparison import Contender, all_of, at_least, compare, rate_of_threads
from benchmarks.emmett import EMMETT_POOL, emmett_on
from benchmarks.library import LibraryAppends
from benchmarks.servers import Running, fresh_servers
from benchmarks.things import CONTEXT, PAYLOAD, Happened
from eventstore.catalogue import Catalogue
from eventstore.connection import connect_to
from eventstore.envelope import StreamId
from eventstore.store import EventStore
from eventstore.streams import LogLocation, create_log, protected

Write = Callable[[str, int], Awaitable[None]]
"""(stream, the version it stands at)"""

GOALS = {1: 0.5, 64: 2.0, 256: 4.0, 1000: 6.0}
LIBRARY_CALLERS = 32
"""More threads make the library slower, not faster; its pool has as many connections."""


async def run(rounds: int, seconds: float) -> None:
    with fresh_servers() as servers, _umadb() as uma:
        emmett = await asyncio.to_thread(emmett_on, servers.database_url)
        for callers, goal in GOALS.items():
            async with _ours(servers) as store, _raw(servers) as raw:
                threads = min(callers, LIBRARY_CALLERS)

                async def ours(n: int = callers, store: EventStore = store) -> float:
                    return await _rate(n, seconds, lambda stream, v: _append(store, stream, v))

                async def raw_publish(n: int = callers, raw: JetStreamContext = raw) -> float:
                    return await _rate(n, seconds, lambda stream, v: _publish(raw, stream, v))

                async def library(n: int = threads) -> float:
                    return await asyncio.to_thread(_library_rate, servers.database_url, False, n, seconds)

                async def with_functions(n: int = threads) -> float:
                    return await asyncio.to_thread(_library_rate, servers.database_url, True, n, seconds)

                async def uma_append(n: int = threads, url: str = uma) -> float:
                    return await asyncio.to_thread(_uma_rate, url, n, seconds)

                of_library = f"eventsourcing with functions, {threads} threads"
                goals = [at_least(goal, "raw nats-py publish", "Sagacity")]
                if callers > 1:
                    goals.append(at_least(10, of_library, "Sagacity"))
                contenders = [
                    Contender("Sagacity", ours, all_of(*goals)),
                    Contender("raw nats-py publish", raw_publish),
                    Contender(f"eventsourcing, {threads} threads", library),
                    Contender(of_library, with_functions),
                    Contender(f"UmaDB, {threads} threads", uma_append),
                ]
                if emmett:
                    rate = functools.partial(emmett.append_rate, callers, seconds)
                    contenders.append(Contender(f"Emmett, {min(callers, EMMETT_POOL)} connections", rate))
                await compare(f"(a) appends by {callers} waiting callers", "events/s", contenders, rounds)


async def _rate(callers: int, seconds: float, write: Write) -> float:
    count = 0
    until = time.perf_counter() + seconds

    async def caller() -> None:
        nonlocal count
        stream = uuid4().hex
        for version in itertools.count():
            if time.perf_counter() > until:
                return
            await write(stream, version)
            count += 1

    began = time.perf_counter()
    await asyncio.gather(*(caller() for _ in range(callers)))
    return count / (time.perf_counter() - began)


def _library_rate(url: str, functions: bool, threads: int, seconds: float) -> float:
    """Its connections last for one round, like Emmett's: the server has 60 for everybody."""
    library = LibraryAppends(url, functions=functions)
    try:
        library.rate(threads, seconds)  # warm-up, until its pool is full
        return library.rate(threads, seconds)
    finally:
        library.close()


async def _append(store: EventStore, stream: str, version: int) -> None:
    await store.append(StreamId("thing", stream), version, [Happened(version)], CONTEXT)


async def _publish(raw: JetStreamContext, stream: str, version: int) -> None:
    await raw.publish(f"raw.thing.{stream}.{version + 1}", PAYLOAD, timeout=30)


@asynccontextmanager
async def _ours(servers: Running) -> AsyncGenerator[EventStore]:
    connection = await connect_to(servers.nats_url)
    location = LogLocation("BENCH", "bench")
    await create_log(connection, location)
    store = await EventStore.open(connection, Catalogue([Happened]), location)
    yield store
    await store.close()
    await connection.close()


@asynccontextmanager
async def _raw(servers: Running) -> AsyncGenerator[JetStreamContext]:
    """The stock client on a stream with the very same protection."""
    import json

    import nats

    client = await nats.connect(servers.nats_url)  # pyright: ignore[reportUnknownMemberType] - nats-py types it half
    config = {"name": "RAW", **protected(LogLocation("RAW", "raw"))}
    await client.request("$JS.API.STREAM.CREATE.RAW", json.dumps(config).encode())
    yield client.jetstream()  # pyright: ignore[reportUnknownMemberType]
    await client.close()


@contextmanager
def _umadb() -> Generator[str]:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    program = Path(sysconfig.get_path("scripts")) / "umadb"
    with tempfile.TemporaryDirectory() as home:
        command = [program, "--listen", f"127.0.0.1:{port}", "--db-path", f"{home}/uma.db"]
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            for _ in range(200):
                with socket.socket() as probe:
                    if probe.connect_ex(("127.0.0.1", port)) == 0:
                        break
                time.sleep(0.02)
            yield f"http://127.0.0.1:{port}"
        finally:
            process.terminate()
            process.wait()


def _uma_rate(url: str, callers: int, seconds: float) -> float:
    def writer() -> Callable[[], object]:
        client, tag = umadb.Client(url), uuid4().hex  # every append is durable before it returns, as it ships
        return lambda: client.append([umadb.Event("thing.happened", PAYLOAD, [tag])])

    return rate_of_threads(callers, seconds, writer)
