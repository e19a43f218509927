"""Real servers for every test that wants one."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator, Iterator

import asyncpg
import pytest
import pytest_asyncio
from hypothesis import HealthCheck, settings

from tests.eventstore.servers import Servers
from tests.postgres import Postgres, running_postgres

# On a busy machine anything may be slow for a second, and that says nothing about what is tested; no more does a
# streak of examples that are filtered out.
settings.register_profile(
    "busy", deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much]
)
settings.load_profile("busy")


@pytest.fixture(scope="session")
def nats_servers() -> Iterator[Servers]:
    """One nats-server for the session; tests take a fresh log (or stop it themselves with a server of their own)."""
    servers = Servers(1)
    try:
        servers.start()
        asyncio.run(servers.ready())
        yield servers
    finally:
        servers.stop()


@pytest.fixture(scope="session")
def nats_url(nats_servers: Servers) -> str:
    return nats_servers.url


@pytest.fixture
def own_nats() -> Iterator[Servers]:
    """A nats-server of the test's own, with empty storage: the default stream names are free."""
    servers = Servers(1)
    try:
        servers.start()
        yield servers
    finally:
        servers.stop()


@pytest.fixture(scope="module")
def log_url() -> Iterator[str]:
    """One log for all stories of a module, in a nats-server of its own."""
    from sagacity.initialising import initialise_server

    servers = Servers(1)
    try:
        servers.start()
        asyncio.run(initialise_server(servers.url))
        yield servers.url
    finally:
        servers.stop()


@pytest.fixture(scope="session")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Postgres]:
    with running_postgres(tmp_path_factory.mktemp("postgres")) as server:
        yield server


@pytest.fixture(scope="session")
def postgres_url(postgres: Postgres) -> str:
    return postgres.url


@pytest_asyncio.fixture
async def database_url(postgres_url: str) -> AsyncIterator[str]:
    """A fresh database, dropped afterwards."""
    name = f"t{uuid.uuid4().hex}"
    admin = await asyncpg.connect(postgres_url)
    try:
        await admin.execute(f"CREATE DATABASE {name}")
        yield postgres_url.rsplit("/", 1)[0] + f"/{name}"
        await admin.execute(f"DROP DATABASE {name} WITH (FORCE)")
    finally:
        await admin.close()
