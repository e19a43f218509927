"""A process of roles, started as `up` starts it."""

import asyncio
import subprocess
import sys
from contextlib import contextmanager

import httpx
import msgspec

from domain.environment import Target
from sagacity.embedded.directory import DataDirectory, free_port
from sagacity.embedded.postgres import postgres_service
from sagacity.embedded.service import Child
from sagacity.release_logs import LogsOfReleases
from sagacity.role_settings import RoleSettings
from sagacity.wiring import open_core
from tests.projections.platform import ME, CommandRequest


@contextmanager
def running(settings, tmp_path):
    file = tmp_path / "roles.json"
    file.write_bytes(msgspec.json.encode(settings))
    process = subprocess.Popen([sys.executable, "-m", "sagacity", "role", str(file)])
    try:
        yield process
    finally:
        process.terminate()
        process.wait(20)


async def until(answers, status, timeout=30):
    async with asyncio.timeout(timeout):
        while True:
            try:
                answer = await answers()
                if answer.status_code == status:
                    return answer
            except httpx.TransportError:
                pass
            await asyncio.sleep(0.05)


async def test_while_postgresql_is_away_commands_are_taken_and_queries_say_so(log, tmp_path):
    directory = DataDirectory(tmp_path)
    for part in (directory.run, directory.logs):
        part.mkdir()
    service, database_url = postgres_service(directory, free_port())
    port, ready = free_port(), tmp_path / "ready"
    settings = RoleSettings(
        ("api", "projector"), log, database_url, str(tmp_path / "host"), "127.0.0.1", port, ready_file=str(ready)
    )
    postgres = Child(service, directory.run, directory.logs)
    url = f"http://127.0.0.1:{port}"
    with running(settings, tmp_path):
        client = httpx.AsyncClient(base_url=url, timeout=20)
        await until(lambda: client.get("/health/startup"), 200)
        body = {"id": "c-1", "type": "organization.register", "stream": "acme", "data": {"name": "Acme"}}
        assert (await client.post("/api/v1/commands", json=body)).status_code == 201
        refused = await client.get("/api/v1/organizations/acme")
        assert (refused.status_code, refused.headers["Retry-After"]) == (503, "1")
        assert refused.json()["type"] == "/problems/read-models-unavailable"
        async with asyncio.timeout(20):
            while not ready.exists():
                await asyncio.sleep(0.05)
        await postgres.start()
        try:
            found = await until(lambda: client.get("/api/v1/organizations/acme"), 200)
            assert found.json()["name"] == "Acme"
        finally:
            await postgres.stop()
            await client.aclose()


class Place:
    """A target whose releases wrote what the target is called."""

    def __init__(self, target):
        self.target = target

    async def logs(self, start_key, after=0, limit=1000):
        return (self.target, start_key, after, limit)


async def test_logs_come_from_the_very_target_that_the_deployment_was_rolled_out_on(log):
    """Also when the environment now calls another one by that name."""
    at_first = Target("local", "process", {"where": "here"})
    release = {"program": "/bin/true"}
    async with open_core(log) as core:

        async def command(type, stream, data):
            request = CommandRequest(type=type, stream_id=stream, data=msgspec.json.encode(data))
            outcome = await core.handler.handle(request, ME)
            assert outcome.outcome == "accepted", outcome

        await command("organization.register", "acme", {"name": "Acme"})
        environment = {"name": "Live", "organization_id": "acme", "targets": [at_first]}
        await command("environment.register", "live", environment)
        await command("stack.register", "shop", {"name": "Shop", "organization_id": "acme"})
        await command("stack.publish_version", "shop", {"version": "1", "release": release})
        request = {"stack_id": "shop", "environment_id": "live", "version": "1"}
        await command("deployment.request", "shop-1", request)
        await command("environment.add_target", "live", {"target": Target("other")})
        logs = LogsOfReleases(core.store, Place)
        row = type("Row", (), {"id": "shop-1", "target": "local", "attempt": 1})
        target, start_key, after, limit = await logs(row, 7, 20)
        assert (target, after, limit) == (at_first, 7, 20)
        assert start_key.startswith("shop-1")
