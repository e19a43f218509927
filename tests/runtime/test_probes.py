"""The servers' own probes tell a stopped process from one that answers, whatever it answers."""

import contextlib
import os
import signal
from dataclasses import replace

import asyncpg
import pytest

from sagacity.embedded.directory import DataDirectory
from sagacity.embedded.nats_server import nats_service
from sagacity.embedded.postgres import postgres_service
from sagacity.embedded.supervisor import Supervisor
from tests.runtime.test_service import until


@pytest.fixture
def directory(tmp_path):
    found = DataDirectory(tmp_path)
    for part in (found.run, found.logs):
        part.mkdir()
    return found


@pytest.mark.parametrize("make", [lambda home, port: nats_service(home, port, None), postgres_service])
async def test_a_server_that_is_stopped_is_noticed_and_started_again(directory, make):
    said: list[str] = []
    service, _ = make(directory, directory.remembered_port("server"))
    assert service.probe.failures * service.probe.interval >= 30, "a machine that is slow must not trip it"
    assert await service.probe.answers() is False
    impatient = replace(service, probe=replace(service.probe, interval=0.1, timeout=1.0, failures=2))
    async with Supervisor(directory, said.append) as supervisor:
        await supervisor.start(impatient)
        assert await service.probe.answers() is True
        os.kill(int((directory.run / f"{service.name}.pid").read_text().split()[0]), signal.SIGSTOP)
        await until(lambda: any("ready again" in line for line in said), timeout=40)
        assert await service.probe.answers() is True


async def test_a_postgresql_that_says_no_does_not_hang(directory):
    service, url = postgres_service(directory, directory.remembered_port("server"))
    async with Supervisor(directory, lambda _: None) as supervisor:
        await supervisor.start(service)
        clients = await as_many_clients_as_it_takes(url)
        assert await service.ready() is False
        assert await service.probe.answers() is True
        for client in clients:
            client.terminate()


async def as_many_clients_as_it_takes(url):
    clients = []
    with contextlib.suppress(asyncpg.TooManyConnectionsError):
        while True:
            clients.append(await asyncpg.connect(url))
    return clients
