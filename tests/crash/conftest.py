"""One platform for all cases of a module."""

import asyncio

import pytest

from sagacity.initialising import initialise_server
from tests.crash.platform import Platform
from tests.eventstore.servers import Servers


@pytest.fixture(scope="module")
def platform(tmp_path_factory):
    servers = Servers(1)
    servers.start()
    asyncio.run(initialise_server(servers.url))
    platform = Platform(servers, tmp_path_factory.mktemp("crash"))
    try:
        platform.start()
        asyncio.run(platform.host_is_up())
        yield platform
    finally:
        platform.stop()
        servers.stop()
