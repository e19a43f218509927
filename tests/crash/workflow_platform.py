"""What a crash test of workflows hits: a real log, engines and workers, and a PostgreSQL that a projector fills."""

from __future__ import annotations

import re
import subprocess
import sys
from contextlib import ExitStack, contextmanager
from pathlib import Path

import msgspec

from eventstore.streams import ask, error_code
from sagacity.wiring import Core
from sagacity.workflow_work import register_skills
from sagas.timers import RUNS
from sagas.workflows.engine import CONSUMER
from skills.protocol import HEARTBEATS, REPORTS, WORK
from tests.crash.platform import SagaProcess, command
from tests.crash.watchdog import Watchdog
from tests.crash.workflow_skills import skills
from tests.crash.workflow_story import DEFINITIONS, REMOTE
from tests.eventstore.servers import Servers
from tests.postgres import Postgres

READ_MODELS = ("workflows",)


class WorkflowPlatform:
    """One log for all cases; PostgreSQL and the projector begin with the first case that asks for them."""

    def __init__(self, servers: Servers, home: Path) -> None:
        self.servers = servers
        self.ledger = home / "ledger"
        self.ledger.touch()
        self.postgres: Postgres | None = None
        self._home = home
        self._projector: SagaProcess | None = None
        self._forks = subprocess.Popen(
            [sys.executable, "-m", "tests.crash.workflow_process"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )

    def stop(self) -> None:
        if self._projector is not None:
            self._projector.end()
        self._forks.terminate()
        self._forks.wait()
        if self.postgres is not None:
            self.postgres.stop()

    def engine(self, case: str, *wound: object) -> SagaProcess:
        return self._process("engine", self.servers.url, case, self.ledger, *wound)

    def worker(self, case: str, *wound: object) -> SagaProcess:
        return self._process("worker", self.servers.url, case, self.ledger, *wound)

    def pid(self, victim: str) -> int | str:
        """Of a victim by name; `self` for the engine's process, which has none yet."""
        match victim:
            case "nats":
                return self.servers.nodes[0]._process.pid
            case "postgres":
                return self._projected().pid
            case _:
                return "self"

    @contextmanager
    def watched(self):
        """The watchdogs of what is there, by name."""
        node, postgres = self.servers.nodes[0], self.postgres
        dogs = {"nats": Watchdog(lambda: node._process.poll() is not None, node.start)}
        if postgres is not None:
            dogs["postgres"] = Watchdog(lambda: postgres.is_dead, postgres.restart_after_kill)
        with ExitStack() as watching:
            yield {name: watching.enter_context(dog) for name, dog in dogs.items()}

    def lines(self, case: str) -> list[tuple[str, int, float]]:
        """(call, attempt, when it was begun), of all that was ever begun."""
        lines = [line.split() for line in self.ledger.read_text().splitlines()]
        return [(call, int(attempt), float(at)) for call, attempt, at in lines if call.startswith(f"{case}-")]

    def _projected(self) -> Postgres:
        if self.postgres is None:
            self.postgres = Postgres(self._home / "postgres")
            self.postgres.start()
            self._projector = self._process("projector", self.servers.url, self.postgres.url, *READ_MODELS)
        return self.postgres

    def _process(self, *arguments: object) -> SagaProcess:
        self._forks.stdin.write(msgspec.json.encode([*map(str, arguments)]) + b"\n")
        self._forks.stdin.flush()
        return SagaProcess(int(self._forks.stdout.readline()))


def named(case: str, document: object) -> object:
    """With the names of this case alone: the log is shared."""
    text = msgspec.json.encode(document).decode()
    for key in ("skill", "workflow"):
        text = re.sub(rf'"{key}":"(\w+)"', rf'"{key}":"{case}-\1"', text)
    return msgspec.json.decode(text)


async def prepare(core: Core, platform: WorkflowPlatform, case: str) -> None:
    """Its skills and its definitions."""
    await register_skills(core, skills(case, str(platform.ledger)))
    for name, steps in DEFINITIONS.items():
        definition = {"steps": named(case, steps)}
        await command(core, "workflow_definition.publish", f"{case}-{name}", {"definition": definition})


async def is_served(core: Core, case: str) -> bool:
    """A worker has said that it is there."""
    wanted = {"last_by_subj": f"heartbeat.{case}-{REMOTE[-1]}.1.*"}
    return not error_code(await ask(core.connection, f"STREAM.MSG.GET.{HEARTBEATS}", wanted))


async def is_at_rest(core: Core, case: str) -> bool:
    """Nothing is left that would be delivered again: no work to a worker, no wake-up to an engine."""
    work = await ask(core.connection, f"STREAM.INFO.{WORK}", {"subjects_filter": "work.>"})
    waking = [
        await ask(core.connection, f"CONSUMER.INFO.{stream}.{CONSUMER}")
        for stream in (core.store.location.stream, REPORTS, RUNS.stream)
    ]
    queued = any(subject.startswith(f"work.{case}-") for subject in work["state"].get("subjects") or {})
    return not queued and not any(each["num_pending"] or each["num_ack_pending"] for each in waking)
