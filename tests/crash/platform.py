"""What a crash test hits: a real log, a real process host, and saga processes; and what must be true afterwards."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import asyncpg
import msgspec

from domain import environment, saga
from domain.contexts import DECIDERS
from eventstore.envelope import StreamId
from eventstore.verification import verify
from handlers.command import Caller, CommandRequest
from projections.queries import ReadModels
from projections.read_models import READ_MODELS
from sagacity.wiring import Core
from sagas.targets.process import ProcessTarget
from tests.eventstore.servers import Servers
from tests.postgres import Postgres

ENDED = {"deployment.completed", "deployment.rolled_back", "deployment.failed"}
DECIDER = {decider.category: decider for decider in DECIDERS}
RELEASE = str(Path(__file__).with_name("release.py"))
ME = Caller(actor="test")


class Platform:
    """One log and one process host, shared by many cases; each case has a stack and an environment of its own."""

    def __init__(self, servers: Servers, home: Path) -> None:
        self.servers = servers
        self.host_home = home / "host"
        self.starts = home / "starts"
        self.starts.touch()
        self.target = ProcessTarget(self.host_home)
        self.postgres = Postgres(home / "postgres")
        self.host = subprocess.Popen(
            [sys.executable, "-m", "sagas.targets.process.host", "--data", str(self.host_home)],
            stderr=subprocess.DEVNULL,
        )

    def start(self) -> None:
        self.postgres.start()
        self.projector = subprocess.Popen(
            [sys.executable, "-m", "tests.crash.projector_process", self.servers.url, self.postgres.url]
        )

    def stop(self) -> None:
        for process in (self.projector, self.host):
            process.terminate()
            process.wait()
        self.postgres.stop()

    @contextmanager
    def postgres_watched(self) -> Iterator[list[float]]:
        """Starts PostgreSQL again when it was killed, as `sagacity up` would; the moments it did."""
        restarts: list[float] = []
        over = threading.Event()

        def watch() -> None:
            while not over.wait(0.02):
                if self.postgres.is_dead:
                    self.postgres.restart_after_kill()
                    restarts.append(time.monotonic())

        thread = threading.Thread(target=watch, daemon=True)
        thread.start()
        try:
            yield restarts
        finally:
            over.set()
            thread.join()

    async def read_model_agrees(self, core: Core, id: str, outcome: str) -> None:
        """PostgreSQL comes to hold what the log says, however often it was killed."""
        pool = await asyncpg.create_pool(self.postgres.url, min_size=1, max_size=2)
        try:
            models = ReadModels(pool, core.store, READ_MODELS)
            await models.wait_for("deployments", (await core.store.state()).last, 30)
            row = await models.row("deployments", id)
            assert f"deployment.{row.status}" == outcome
        finally:
            pool.terminate()

    def saga_process(self, *wound: object) -> subprocess.Popen[bytes]:
        arguments = [self.servers.url, str(self.host_home), *map(str, wound)]
        return subprocess.Popen([sys.executable, "-m", "tests.crash.saga_process", *arguments])

    async def host_is_up(self) -> None:
        await eventually(self._host_answers, 20)

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
    """A stack with a good old version, a good new one and a sick one, and an environment on the process host."""
    owner, target = f"o{case}", {"name": "local"}
    await command(core, "organization.register", owner, {"name": "Acme"})
    await command(
        core, "environment.register", f"e{case}", {"name": "e", "organization_id": owner, "targets": [target]}
    )
    await command(core, "stack.register", f"s{case}", {"name": "s", "organization_id": owner})
    for version, health in (("old", "200"), ("good", "200"), ("sick", "500")):
        release = {
            "program": sys.executable,
            "arguments": ["-S", RELEASE],
            "environment": {"NAME": f"{case}-{version}", "HEALTH": health, "STARTS": str(platform.starts)},
        }
        await command(core, "stack.publish_version", f"s{case}", {"version": version, "release": release})


async def request(core: Core, case: str, id: str, version: str) -> None:
    policy = {"healthy_checks": 2, "unhealthy_checks": 2, "health_interval": 0.05}
    data = {"stack_id": f"s{case}", "environment_id": f"e{case}", "version": version, "policy": policy}
    await command(core, "deployment.request", id, data)


async def has_ended(core: Core, id: str) -> bool:
    events = await core.store.load(StreamId("deployment", id), latest=True)
    return bool(events) and events[-1].type in ENDED


async def eventually(holds, timeout: float = 40.0) -> None:
    """Wait until an async condition holds; AssertionError after `timeout` seconds."""
    deadline = time.monotonic() + timeout
    while not await holds():
        assert time.monotonic() < deadline, f"not within {timeout} s: {holds}"
        await asyncio.sleep(0.05)


async def assert_right_end(core: Core, platform: Platform, case: str, id: str, old: str) -> str:
    """Completed or exactly the previous state; nothing left over, nothing twice, nothing open. The outcome."""
    outcome = (await core.store.load(StreamId("deployment", id), latest=True))[-1].type
    sagas = [core.store.decode(e) for e in await core.store.load(StreamId("saga", f"deployment-{id}"), latest=True)]
    ended = DECIDER["saga"].fold(sagas)
    assert isinstance(ended, saga.Ended)
    assert not {effect.status for effect in ended.effects} & saga.OPEN
    live_id = id if outcome == "deployment.completed" else old
    placement = await _placement(core, case)
    assert placement.rollout is None
    assert placement.live.deployment_id == live_id
    front = await platform.target.front(f"e{case}--s{case}")
    assert front.to == f"{live_id}-start"
    running = [r for r in await platform.target.inventory() if r.start_key.startswith(f"{case}-")]
    assert [r.start_key for r in running] == [f"{live_id}-start"]
    assert running[0].restarts == 0
    _assert_started_once(platform, case, alive=running[0].pid)
    return outcome


async def _placement(core: Core, case: str) -> environment.Placement:
    events = await core.store.load(StreamId("environment", f"e{case}"), latest=True)
    return DECIDER["environment"].fold([core.store.decode(e) for e in events]).placement(f"s{case}")


def _assert_started_once(platform: Platform, case: str, alive: int) -> None:
    lines = [line.split() for line in platform.starts.read_text().splitlines()]
    mine = [(name, int(pid)) for name, pid in lines if name.startswith(f"{case}-")]
    assert len({name for name, _ in mine}) == len(mine), f"started twice: {mine}"
    assert [pid for _, pid in mine if _exists(pid)] == [alive]


def _exists(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


async def assert_log_intact(core: Core) -> None:
    report = await verify(core.store)
    assert not report.faults
