"""One log for all stories of a module."""

import asyncio

import pytest

from sagacity.initialising import initialise_server
from tests.eventstore.servers import Servers


@pytest.fixture(scope="module")
def log_url():
    servers = Servers(1)
    try:
        servers.start()
        asyncio.run(initialise_server(servers.url))
        yield servers.url
    finally:
        servers.stop()
