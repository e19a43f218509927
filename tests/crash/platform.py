"""What a crash test hits: a real log, a real process host, and saga processes."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import asyncpg
import msgspec

from domain.contexts import DECIDERS
from eventstore.envelope import StreamId
from eventstore.errors import LogUnavailable
from handlers.command import Caller, CommandRequest
from projections.queries import NotReached, ReadModels
from projections.read_models import READ_MODELS
from sagacity.wiring import Core
from sagas.targets.process import ProcessTarget
from tests.crash.stories import Story
from tests.crash.watchdog import Watchdog
from tests.eventstore.servers import Servers
from tests.postgres import Postgres

ENDED = {"deployment.completed", "deployment.rolled_back", "deployment.failed"}
DECIDER = {decider.category: decider for decider in DECIDERS}
RELEASE = str(Path(__file__).with_name("release.py"))
ME = Caller(actor="test")
VERSIONS = {"old": {}, "good": {}, "sick": {"HEALTH": "500"}, "wrong": {"ANSWER": "500"}}
POLICY = {"healthy_checks": 2, "unhealthy_checks": 2, "health_interval": 0.05}


class SagaProcess:
    """One of many that `saga_process` has forked."""

    def __init__(self, pid: int) -> None:
        self.pid = pid

    @property
    def is_dead(self) -> bool:
        return not exists(self.pid)

    def end(self) -> None:
        with suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGTERM)
        deadline = time.monotonic() + 20
        while not self.is_dead:
            assert time.monotonic() < deadline, "the saga process does not end"
            time.sleep(0.01)


class Platform:
    """One log and one process host, shared by many cases; each case has a stack and an environment of its own."""

    def __init__(self, servers: Servers, home: Path) -> None:
        self.servers = servers
        self.host_home = home / "host"
        self.starts = home / "starts"
        self.starts.touch()
        self.target = ProcessTarget(self.host_home)
        self.postgres = Postgres(home / "postgres")

    def start(self) -> None:
        self.postgres.start()
        self.start_host()
        self.projector = subprocess.Popen(
            [sys.executable, "-m", "tests.crash.projector_process", self.servers.url, self.postgres.url]
        )
        self.sagas = subprocess.Popen(
            [sys.executable, "-m", "tests.crash.saga_process"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )

    def start_host(self) -> None:
        self.host = subprocess.Popen(
            [sys.executable, "-m", "sagas.targets.process.host", "--data", str(self.host_home)],
            stderr=subprocess.DEVNULL,
        )

    def stop(self) -> None:
        for process in (self.sagas, self.projector, self.host):
            process.terminate()
            process.wait()
        self.postgres.stop()

    def pid(self, victim: str) -> int | str:
        """Of a victim by name; `self` for the saga's process, which has none yet."""
        match victim:
            case "nats":
                return self.servers.nodes[0]._process.pid
            case "postgres":
                return self.postgres.pid
            case "host":
                return self.host.pid
            case _:
                return "self"

    def watchdogs(self) -> dict[str, Watchdog]:
        """One a victim, but for the saga's process."""
        node = self.servers.nodes[0]
        return {
            "nats": Watchdog(lambda: node._process.poll() is not None, node.start),
            "postgres": Watchdog(lambda: self.postgres.is_dead, self.postgres.restart_after_kill),
            "host": Watchdog(lambda: self.host.poll() is not None, self.start_host),
        }

    async def read_model_agrees(self, core: Core, id: str, outcome: str) -> None:
        """PostgreSQL comes to hold what the log says, however often it was killed."""
        await eventually(lambda: self._row_says(core, id, outcome))

    async def _row_says(self, core: Core, id: str, outcome: str) -> bool:
        """Not while PostgreSQL comes up again: it may have been hit at the last moment."""
        with suppress(asyncpg.PostgresError, asyncpg.InterfaceError, OSError, NotReached):
            async with asyncpg.create_pool(self.postgres.url, min_size=1, max_size=2) as pool:
                models = ReadModels(pool, core.store, READ_MODELS)
                await models.wait_for("deployments", (await core.store.state()).last, 10)
                row = await models.row("deployments", id)
                return row is not None and row.status == outcome
        return False

    def saga_process(self, *wound: object) -> SagaProcess:
        arguments = [self.servers.url, str(self.host_home), *map(str, wound)]
        self.sagas.stdin.write(msgspec.json.encode(arguments) + b"\n")
        self.sagas.stdin.flush()
        return SagaProcess(int(self.sagas.stdout.readline()))

    async def host_is_up(self) -> None:
        await eventually(self._host_answers, 20)

    async def clean_up(self, case: str) -> None:
        """What a case leaves running would run to the end of all cases."""
        for running in await self.target.inventory():
            if running.start_key.startswith(f"{case}-"):
                await self.target.stop(running.start_key)

    async def _host_answers(self) -> bool:
        with suppress(Exception):
            await self.target.inventory()
            return True
        return False


async def command(core: Core, type: str, stream: str, data: dict) -> None:
    request = CommandRequest(type=type, stream_id=stream, data=msgspec.json.encode(data))
    outcome = await core.handler.handle(request, ME, timeout=20)
    assert outcome.outcome == "accepted", outcome


async def prepare(core: Core, platform: Platform, case: str) -> None:
    """A stack with an old version, a good new one, a sick and a wrong one, and an environment on the process host."""
    owner, target = f"o{case}", {"name": "local"}
    await command(core, "organization.register", owner, {"name": "Acme"})
    await command(
        core, "environment.register", f"e{case}", {"name": "e", "organization_id": owner, "targets": [target]}
    )
    await command(core, "stack.register", f"s{case}", {"name": "s", "organization_id": owner})
    for version, behaviour in VERSIONS.items():
        release = {
            "program": sys.executable,
            "arguments": ["-S", RELEASE],
            "environment": {"NAME": f"{case}-{version}", "STARTS": str(platform.starts), **behaviour},
        }
        await command(core, "stack.publish_version", f"s{case}", {"version": version, "release": release})


async def request(core: Core, case: str, id: str, story: Story) -> None:
    asked = {"version": story.version, "strategy": story.strategy, "instances": story.instances, "policy": POLICY}
    await command(core, "deployment.request", id, {"stack_id": f"s{case}", "environment_id": f"e{case}", **asked})


async def has_ended(core: Core, id: str) -> bool:
    try:
        events = await core.store.load(StreamId("deployment", id), latest=True)
    except LogUnavailable:
        return False  # the server that was killed reads its files, which takes as long as the machine is busy
    return bool(events) and events[-1].type in ENDED


async def folded(core: Core, category: str, id: str):
    events = await core.store.load(StreamId(category, id), latest=True)
    return DECIDER[category].fold([core.store.decode(event) for event in events])


async def eventually(holds, timeout: float = 40.0) -> None:
    """Wait until an async condition holds; AssertionError after `timeout` seconds."""
    deadline = time.monotonic() + timeout
    while not await holds():
        assert time.monotonic() < deadline, f"not within {timeout} s: {holds}"
        await asyncio.sleep(0.05)


def exists(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True
