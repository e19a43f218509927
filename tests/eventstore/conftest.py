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


@pytest.fixture(scope="session")
def one_node() -> Iterator[Servers]:
    yield from _running(1)


@pytest.fixture(scope="session")
def three_nodes() -> Iterator[Servers]:
    yield from _running(3)


@pytest.fixture
def own_node() -> Iterator[Servers]:
    """A server that the test may stop as it likes."""
    yield from _running(1)


@pytest_asyncio.fixture
async def log(one_node: Servers) -> AsyncIterator[Log]:
    async with fresh_log(one_node) as log:
        yield log
