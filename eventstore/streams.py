"""The JetStream streams of the log: how they are configured, created and checked.

The event stream lets the *server* refuse a second version n of a stream: one subject per event, one message per
subject, new messages discarded. See docs/decisions/0001-jetstream-is-the-system-of-record.md.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

from eventstore.connection import Connection
from eventstore.errors import LogMisconfigured, LogMissing, LogUnavailable

EVENTS: Final = "EVENTS"
PREFIX: Final = "evt"

NO_STREAM: Final = 10059
ALREADY_THERE: Final = 10058


class LogLocation(msgspec.Struct, frozen=True):
    """Which stream holds the log, and under which first subject token."""

    stream: str = EVENTS
    prefix: str = PREFIX


class LogState(msgspec.Struct, frozen=True):
    """What the server says of the log. `created` names this incarnation of the stream (RFC 3339)."""

    first: int
    last: int
    created: str
    replicas: int


def protected(location: LogLocation) -> dict[str, Any]:
    """The settings that make a stream an immutable, versioned log."""
    return {
        "subjects": [f"{location.prefix}.>"],
        "retention": "limits",
        "storage": "file",
        "max_msgs": -1,
        "max_bytes": -1,
        "max_age": 0,
        "max_msgs_per_subject": 1,
        "discard": "new",
        "discard_new_per_subject": True,
        "deny_delete": True,
        "deny_purge": True,
        "allow_atomic": True,
        "allow_batched": True,
        "allow_direct": True,
        "compression": "s2",
    }


_NEVER: Final = (
    "sealed",
    "no_ack",
    "allow_rollup_hdrs",
    "allow_msg_ttl",
    "allow_msg_counter",
    "allow_msg_schedules",
    "mirror",
    "sources",
    "subject_transform",
)
"""Settings that would let events vanish, appear from elsewhere or go unacknowledged."""


async def create_log(connection: Connection, location: LogLocation = LogLocation(), *, replicas: int = 1) -> None:
    """Create the log if it is not there. Raises LogMisconfigured when one is there that differs."""
    answer = await ask(
        connection,
        f"STREAM.CREATE.{location.stream}",
        {"name": location.stream, "num_replicas": replicas, **protected(location)},
    )
    if error_code(answer) not in (0, ALREADY_THERE):
        raise LogUnavailable(answer["error"]["description"])
    await check_log(connection, location)


async def check_log(connection: Connection, location: LogLocation = LogLocation()) -> LogState:
    """The state of the log. Raises LogMissing, or LogMisconfigured with every difference at once."""
    answer = await ask(connection, f"STREAM.INFO.{location.stream}")
    if error_code(answer) == NO_STREAM:
        raise LogMissing(f"there is no stream {location.stream} on this server; `sagacity init` creates it")
    if error_code(answer):
        raise LogUnavailable(answer["error"]["description"])
    found = answer["config"]
    differences = [
        f"{name} is {found.get(name, 'unset')!r}, must be {wanted!r}"
        for name, wanted in protected(location).items()
        if found.get(name) != wanted
    ]
    differences += [f"{name} must not be set" for name in _NEVER if found.get(name)]
    differences += ["max_msg_size must not be limited"] if found.get("max_msg_size", -1) > 0 else []
    if differences:
        raise LogMisconfigured(location.stream, differences)
    state = answer["state"]
    return LogState(
        first=state["first_seq"],
        last=state["last_seq"],
        created=answer["created"],
        replicas=found["num_replicas"],
    )


async def ask(
    connection: Connection, call: str, body: dict[str, Any] | None = None, *, timeout: float = 5.0
) -> dict[str, Any]:
    """One call of the JetStream API (`$JS.API.<call>`); answers carry `error` when refused.

    Raises LogUnavailable when nothing answers within `timeout` seconds.
    """
    try:
        reply = await connection.request(
            f"$JS.API.{call}", msgspec.json.encode(body) if body is not None else b"", timeout=timeout
        )
    except Exception as error:
        raise LogUnavailable(f"JetStream does not answer {call.split('.', 2)[:2]}: {error}") from error
    return msgspec.json.decode(reply.data)


def error_code(answer: dict[str, Any]) -> int:
    return int(answer.get("error", {}).get("err_code", 0))
