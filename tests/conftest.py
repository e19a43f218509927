"""Real servers for every test that wants one."""

from __future__ import annotations

import asyncio
import gc
import os
import tempfile
import uuid
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import asyncpg
import certifi
import pytest
import pytest_asyncio
from hypothesis import HealthCheck, settings

from tests.eventstore.servers import Servers
from tests.postgres import Postgres, running_postgres

# On a busy machine anything may be slow for a second, and that says nothing about what is tested; no more does a
# streak of examples that are filtered out.
settings.register_profile(
    "busy",
    deadline=None,
    max_examples=40,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)
settings.load_profile("busy")

# Every client of HTTP reads all the world's authorities, which takes longer than what is asked; here is no TLS, and one
# is enough. For all processes that tests start, too.
if "SSL_CERT_FILE" not in os.environ:
    authority = tempfile.NamedTemporaryFile("w", suffix=".pem")  # noqa: SIM115 - it stays as long as this process
    end = "-----END CERTIFICATE-----\n"
    authority.write(Path(certifi.where()).read_text().partition(end)[0] + end)
    authority.flush()
    os.environ["SSL_CERT_FILE"] = authority.name


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
        asyncio.run(_for_processes_that_die_only(server.url))
        yield server


async def _for_processes_that_die_only(url: str) -> None:
    """Tests kill servers, not the machine: what was written is there without waiting for the disk."""
    admin = await asyncpg.connect(url)
    try:
        await admin.execute("ALTER SYSTEM SET fsync = off")
        await admin.execute("ALTER SYSTEM SET full_page_writes = off")
        await admin.execute("SELECT pg_reload_conf()")
    finally:
        await admin.close()


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


def pytest_collection_finish() -> None:
    """Thousands of tests stay as they are: the collector of garbage need not look at them again and again."""
    gc.collect()
    gc.freeze()
