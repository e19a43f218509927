"""A store of blobs for all tests of a module, and programs that are not installed here."""

import asyncio
import os
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
import pytest_asyncio

from eventstore.blobs import Blobs, create_blobs
from tests.eventstore.servers import Servers
from tests.eventstore.test_blobs import connected

Program = Callable[[str, str], Path]


@pytest.fixture(scope="module")
def blobs_url():
    servers = Servers(1)
    try:
        servers.start()
        asyncio.run(_create(servers))
        yield servers.url
    finally:
        servers.stop()


async def _create(servers: Servers) -> None:
    await servers.ready()
    async with connected(servers.url) as connection:
        await create_blobs(connection)


@pytest_asyncio.fixture
async def blobs(blobs_url: str) -> AsyncIterator[Blobs]:
    async with connected(blobs_url) as connection:
        yield Blobs(connection)


@pytest.fixture
def program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Program:
    """Puts a script of this name first where programs are looked for."""
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)

    def write(name: str, script: str) -> Path:
        path = tmp_path / name
        path.write_text(script)
        path.chmod(0o755)
        return path

    return write
