"""Where calls wait, where workers report, and where they say that they are there: docs/skill-protocol.md."""

from __future__ import annotations

from typing import Any, Final

from eventstore.connection import Connection
from eventstore.errors import LogUnavailable
from eventstore.streams import ALREADY_THERE, NO_STREAM, ask, error_code
from skills.protocol import GONE, HEARTBEATS, REPORTS, REPORTS_KEPT, WORK, work_subject

_SECOND: Final = 10**9
_DUPLICATES: Final = 120.0
"""Seconds within which a message with the same id is stored once."""

_MOST_PENDING: Final = 100_000
"""Calls of one version that all its workers together have in hand."""


async def create_skill_streams(connection: Connection, *, replicas: int = 1) -> None:
    """Create the streams that are not there. Raises LogUnavailable."""
    for name, configuration in _STREAMS.items():
        wanted = {"name": name, "num_replicas": replicas, "allow_direct": True, **configuration}
        answer = await ask(connection, f"STREAM.CREATE.{name}", wanted)
        if error_code(answer) not in (0, ALREADY_THERE):
            raise LogUnavailable(f"{name}: {answer['error']['description']}")


_STREAMS: Final[dict[str, dict[str, Any]]] = {
    WORK: {
        "subjects": ["work.>"],
        "storage": "file",
        "retention": "workqueue",
        "compression": "s2",
        "duplicate_window": int(_DUPLICATES * _SECOND),
    },
    # A second result of an attempt is refused by the server, whoever sends it.
    REPORTS: {
        "subjects": ["report.>"],
        "storage": "file",
        "retention": "limits",
        "max_age": int(REPORTS_KEPT * _SECOND),
        "max_msgs_per_subject": 1,
        "discard": "new",
        "discard_new_per_subject": True,
        "compression": "s2",
        "duplicate_window": int(_DUPLICATES * _SECOND),
    },
    # What it holds is soon forgotten, but a stream in memory would itself be gone when its one server starts again.
    HEARTBEATS: {
        "subjects": ["heartbeat.>"],
        "storage": "file",
        "retention": "limits",
        "max_age": int(GONE * _SECOND),
        "max_msgs_per_subject": 1,
        "duplicate_window": int(GONE * _SECOND),
    },
}


def consumer_name(skill: str, version: str) -> str:
    """Of the durable consumer that all workers of a version share. Names may have hyphens, so none separates them."""
    return f"skill-{skill}={version}"


async def keep_consumer(connection: Connection, skill: str, version: str, lease: float) -> None:
    """There it is, with this lease in seconds, whatever was there. Raises LogUnavailable."""
    name = consumer_name(skill, version)
    config = {
        "durable_name": name,
        "name": name,
        "filter_subject": work_subject(skill, version),
        "deliver_policy": "all",
        "ack_policy": "explicit",
        "ack_wait": int(lease * _SECOND),
        "max_deliver": -1,
        "max_ack_pending": _MOST_PENDING,
    }
    request = {"stream_name": WORK, "config": config}
    answer = await ask(connection, f"CONSUMER.DURABLE.CREATE.{WORK}.{name}", request)
    if error_code(answer) == NO_STREAM:
        raise LogUnavailable(f"there is no stream {WORK} on this server; `sagacity init` creates it")
    if error_code(answer):
        raise LogUnavailable(f"{name}: {answer['error']['description']}")


async def waiting(connection: Connection, skill: str, version: str) -> int:
    """Calls that no worker has in hand. Raises LogUnavailable."""
    answer = await ask(connection, f"CONSUMER.INFO.{WORK}.{consumer_name(skill, version)}")
    if error_code(answer):
        raise LogUnavailable(f"{skill} {version}: {answer['error']['description']}")
    return int(answer["num_pending"])
