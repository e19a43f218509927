from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator

import pytest
import pytest_asyncio

from tests.eventstore.log import Log, fresh_log
from tests.eventstore.servers import Servers

pytest.register_assert_rewrite("tests.eventstore.contract")


def _running(replicas: int) -> Iterator[Servers]:
    servers = Servers(replicas)
    try:
        servers.start()
        asyncio.run(servers.ready())
        yield servers
    finally:
        servers.stop()


@pytest.fixture(scope="module")
def one_node() -> Iterator[Servers]:
    """Of its own, because the contract kills it."""
    yield from _running(1)


@pytest.fixture(scope="module")
def three_nodes() -> Iterator[Servers]:
    yield from _running(3)


@pytest_asyncio.fixture
async def log(nats_servers: Servers) -> AsyncIterator[Log]:
    async with fresh_log(nats_servers) as log:
        yield log
