"""Calls of skills, as the engine puts them on the queue."""

from datetime import datetime, timedelta
from typing import Any

from domain.skill import Isolation
from domain.workflow import Value
from eventstore.blobs import Blobs
from eventstore.connection import Connection
from eventstore.envelope import now
from skills.protocol import Work
from skills.skill import Security, System, User

NO_BLOBS = Blobs(Connection())
"""Of a connection that was never made: for calls that need none."""


def work(
    skill: str,
    given: Any = None,
    *,
    call: str = "run-1",
    attempt: int = 1,
    value: Value | None = None,
    deadline: datetime | None = None,
    security: Security | None = None,
    isolation: Isolation | None = None,
    lease: float = 30.0,
    version: str = "1",
    user: dict[str, Any] | None = None,
    timeout: float = 60.0,
) -> Work:
    system = System("run", call, "step", attempt, deadline or now() + timedelta(seconds=60), "correlation")
    return Work(
        call,
        attempt,
        skill,
        version,
        value or Value(inline=given),
        lease,
        User(user or {}),
        system,
        security or Security("tester"),
        isolation,
        timeout,
    )
