"""A log for the tests of a module, and the core over it."""

import asyncio

import pytest
import pytest_asyncio

from sagacity.initialising import initialise_server
from sagacity.wiring import open_core
from tests.eventstore.servers import Servers


@pytest.fixture(scope="module")
def server():
    servers = Servers(1)
    servers.start()
    asyncio.run(initialise_server(servers.url))
    yield servers
    servers.stop()


@pytest_asyncio.fixture
async def core(server):
    async with open_core(server.url) as core:
        yield core
