"""The command line as users start it, against a real log and a real platform."""

from __future__ import annotations

import asyncio
import io
import os
import socket
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import asyncpg
import httpx
import msgspec
import pytest

from handlers.command import Caller, CommandRequest
from sagacity.cli import main
from sagacity.initialising import initialise_server
from sagacity.role_settings import RoleSettings
from sagacity.wiring import open_core
from tests.eventstore.servers import Servers
from tests.postgres import Postgres

ROLES = """
import asyncio, sys, msgspec
from sagacity.cli import main
from sagacity.role_settings import RoleSettings
from sagacity.roles import run_roles
asyncio.run(run_roles(msgspec.json.decode(sys.argv[1], type=RoleSettings)))
"""


class Ran(NamedTuple):
    status: int
    out: bytes
    errors: str

    @property
    def text(self) -> str:
        return self.out.decode()


Sagacity = Callable[..., Ran]


@pytest.fixture
def sagacity(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfdbinary: pytest.CaptureFixture[bytes]) -> Sagacity:
    """The real command line, called in this process: in an empty directory, with nothing in the environment."""
    monkeypatch.chdir(tmp_path)
    for name in [name for name in os.environ if name.startswith("SAGACITY_")]:
        monkeypatch.delenv(name)

    def run(*arguments: object, stdin: bytes = b"") -> Ran:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin)))
        capfdbinary.readouterr()
        with pytest.raises(SystemExit) as exited:
            main([str(argument) for argument in arguments])
        out, errors = capfdbinary.readouterr()
        assert isinstance(exited.value.code, int)
        return Ran(exited.value.code, out, errors.decode())

    return run


async def fill(url: str) -> None:
    """A log with accepted and refused commands, one of which came as JSON over several lines."""
    await initialise_server(url)
    ann = Caller(actor="ann", correlation_id="talk-1")
    async with open_core(url) as core:
        for id, type, data in (
            ("c-1", "organization.register", b'{\n  "name": "Acme"\r\n}'),
            ("c-2", "organization.register", b'{"name": "Acme"}'),
            ("c-3", "organization.describe", '{"description": "Olé [red] \\\\ and\\u2028\\u001b[31m"}'.encode()),
        ):
            await core.handler.handle(CommandRequest(type=type, id=id, stream_id="acme", data=data), ann)


@pytest.fixture
def filled(own_nats: Servers) -> str:
    """The URL of a server whose log holds 5 events."""
    asyncio.run(own_nats.ready())
    asyncio.run(fill(own_nats.url))
    return own_nats.url


@pytest.fixture
def empty() -> Iterator[str]:
    """The URL of a second server, with an empty log."""
    servers = Servers(1)
    try:
        servers.start()
        asyncio.run(servers.ready())
        asyncio.run(initialise_server(servers.url))
        yield servers.url
    finally:
        servers.stop()


class Platform:
    """API and projector in a process of their own."""

    def __init__(self, settings: RoleSettings) -> None:
        self.nats_url = settings.nats_url
        self.url = f"http://127.0.0.1:{settings.port}"
        self._settings = settings
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        given = msgspec.json.encode(self._settings).decode()
        self._process = subprocess.Popen([sys.executable, "-c", ROLES, given])
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline and self._process.poll() is None:
            try:
                if httpx.get(f"{self.url}/health", timeout=2).json()["status"] == "ok":
                    return
            except (httpx.HTTPError, ValueError):
                pass
            time.sleep(0.05)
        raise AssertionError("the platform does not start")

    def stop(self) -> None:
        if self._process is not None:
            self._process.terminate()
            self._process.wait(20)


async def create(url: str, database: str) -> None:
    connection = await asyncpg.connect(url)
    try:
        await connection.execute(f"CREATE DATABASE {database}")
    finally:
        await connection.close()


@pytest.fixture(scope="module")
def platform(postgres: Postgres, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    """A whole platform for the tests of one module; PostgreSQL is the session's, the database its own."""
    servers = Servers(1)
    database = f"t{uuid.uuid4().hex}"
    asyncio.run(create(postgres.url, database))
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    settings = RoleSettings(
        roles=("api", "projector"),
        nats_url=servers.url,
        database_url=postgres.url.rsplit("/", 1)[0] + f"/{database}",
        process_host=str(tmp_path_factory.mktemp("host")),
        host="127.0.0.1",
        port=port,
        log_level="ERROR",
    )
    platform = Platform(settings)
    try:
        servers.start()
        asyncio.run(servers.ready())
        asyncio.run(initialise_server(servers.url))
        platform.start()
        yield platform
    finally:
        platform.stop()
        servers.stop()
