"""Durable timers: a message that the log's server itself delivers later, whatever has crashed in between.

A timer is a scheduled message on `timer.<saga>.<name>`; when it is due it appears on `due.<saga>.<name>`. It may
fire late or twice, so whoever receives it asks the state whether it still matters. Those of the runs of workflows are
the same in a stream of their own: who waits for one kind is not woken by the other.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any, Final, NamedTuple

import msgspec
from nats.errors import Error as NatsError

from eventstore.connection import Connection
from eventstore.errors import LogUnavailable
from eventstore.streams import ALREADY_THERE, ask, error_code


class Kind(NamedTuple):
    """Where timers of a kind stand: `stream`, and the first words of the subjects of what is set and what is due."""

    stream: str
    scheduled: str
    due: str


SAGAS: Final = Kind("TIMERS", "timer", "due")
RUNS: Final = Kind("RUN_TIMERS", "run_timer", "run_due")
_KEPT: Final = timedelta(days=90)
FARTHEST: Final = timedelta(days=60)
"""How far ahead a timer is set at most, as the stream forgets what is older than 90 days: it fires before its time
then, and is set again."""

Clock = Callable[[], datetime]
"""What time it is: that of this machine, or in tests any."""


class Due(msgspec.Struct, frozen=True):
    """The body of a timer: whose it is and what it is called."""

    saga_id: str
    timer: str


async def create_timers(connection: Connection, *, replicas: int = 1) -> None:
    """Create the streams of timers that are not there. Raises LogUnavailable."""
    for kind in (SAGAS, RUNS):
        answer = await ask(connection, f"STREAM.CREATE.{kind.stream}", _configuration(kind, replicas))
        if error_code(answer) not in (0, ALREADY_THERE):
            raise LogUnavailable(answer["error"]["description"])


def _configuration(kind: Kind, replicas: int) -> dict[str, Any]:
    return {
        "name": kind.stream,
        "subjects": [f"{kind.scheduled}.>", f"{kind.due}.>"],
        "storage": "file",
        "retention": "limits",
        "max_age": int(_KEPT.total_seconds()) * 10**9,
        "allow_msg_schedules": True,
        "allow_rollup_hdrs": True,
        "num_replicas": replicas,
    }


async def set_timer(connection: Connection, due: Due, at: datetime, kind: Kind = SAGAS) -> None:
    """Set or move a timer; one in the past fires at once. Raises LogUnavailable."""
    try:
        ack = await connection.request(
            f"{kind.scheduled}.{due.saga_id}.{due.timer}",
            msgspec.json.encode(due),
            timeout=5,
            headers={
                "Nats-Schedule": f"@at {at.astimezone(UTC).strftime('%Y-%m-%dT%H:%M:%S.%fZ')}",
                "Nats-Schedule-Target": f"{kind.due}.{due.saga_id}.{due.timer}",
            },
        )
    except (NatsError, OSError, TimeoutError) as error:
        raise LogUnavailable(f"timer not set: {error}") from error
    refusal = msgspec.json.decode(ack.data).get("error")
    if refusal:
        raise LogUnavailable(f"timer not set: {refusal.get('description')}")


async def drop_timers(connection: Connection, saga_id: str, kind: Kind = SAGAS) -> None:
    """Remove what is still scheduled for a saga that has ended. A timer that is missed does no harm."""
    await ask(connection, f"STREAM.PURGE.{kind.stream}", {"filter": f"{kind.scheduled}.{saga_id}.*"})
