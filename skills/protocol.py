"""What workers and the platform say to each other over NATS, in any language: docs/skill-protocol.md.

work.<skill>.<version>                       a call to be made, on the work queue of that skill
report.<call>.<attempt>.result               what came of it, at most one: the server refuses a second
report.<call>.<attempt>.leased-<delivery>    a worker has it in hand
report.<call>.<attempt>.progress-<number>    how far it is
heartbeat.<skill>.<version>.<worker>         the worker is there
heartbeat._.<worker>                         the same of a worker with several skills: an array of heartbeats
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Annotated, Any, Final

from msgspec import Meta, Struct
from msgspec.structs import replace

from domain.skill import Isolation
from domain.workflow import Value
from skills.skill import Security, System, User

WORK: Final = "WORK"
REPORTS: Final = "REPORTS"
HEARTBEATS: Final = "HEARTBEATS"
BEAT: Final = 5.0
"""Seconds between two heartbeats of a worker."""
GONE: Final = 20.0
"""Seconds after which a worker that was not heard of is gone."""
REPORTS_KEPT: Final = 7 * 86_400.0


class Work(Struct, frozen=True, omit_defaults=True):
    """A call to be made. `lease`: seconds within which the worker gives a sign of life (the acknowledgement "in
    progress" of JetStream); `timeout`: seconds that it may take from when it is begun. On its way it must be begun by
    the `deadline` of its system context; whoever begins it tells the skill when it must be over."""

    call: str
    attempt: int
    skill: str
    version: str
    input: Value
    lease: float
    user: User
    system: System
    security: Security
    isolation: Isolation | None = None
    timeout: float = 60.0

    def begun(self, at: datetime) -> Work:
        """As the skill is to be told of it."""
        return replace(self, system=replace(self.system, deadline=at + timedelta(seconds=self.timeout)))


class Leased(Struct, frozen=True, tag="leased", tag_field="kind"):
    worker: Annotated[str, Meta(max_length=200)]
    delivery: int = 1


class Progressed(Struct, frozen=True, tag="progressed", tag_field="kind"):
    fraction: Annotated[float, Meta(ge=0, le=1)]
    note: Annotated[str, Meta(max_length=1_000)] = ""


class Succeeded(Struct, frozen=True, tag="succeeded", tag_field="kind"):
    output: Value
    worker: Annotated[str, Meta(max_length=200)] = ""
    seconds: Annotated[float, Meta(ge=0)] = 0.0
    cost: Annotated[float, Meta(ge=0)] = 0.0
    exchanges: tuple[str, ...] = ()


class Failed(Struct, frozen=True, tag="failed", tag_field="kind"):
    """`invalid`: the input is not what the skill takes; no other attempt is made then. `late`: it took longer than it
    may."""

    reason: Annotated[str, Meta(max_length=4_000)]
    retryable: bool = True
    invalid: bool = False
    worker: Annotated[str, Meta(max_length=200)] = ""
    seconds: Annotated[float, Meta(ge=0)] = 0.0
    cost: Annotated[float, Meta(ge=0)] = 0.0
    late: bool = False


Result = Succeeded | Failed
Report = Leased | Progressed | Result


class Heartbeat(Struct, frozen=True):
    """`running`: calls in hand; `done` and `failed` since it `started`."""

    skill: str
    version: str
    worker: str
    started: datetime
    running: int = 0
    done: int = 0
    failed: int = 0
    details: dict[str, Any] = {}


def work_subject(skill: str, version: str) -> str:
    return f"work.{skill}.{version}"


def report_subject(call: str, attempt: int, what: str = "result") -> str:
    return f"report.{call}.{attempt}.{what}"


def heartbeat_subject(beat: Heartbeat) -> str:
    return f"heartbeat.{beat.skill}.{beat.version}.{beat.worker}"


def joint_subject(worker: str) -> str:
    """No skill is called so: names begin with a letter or a digit."""
    return f"heartbeat._.{worker}"
