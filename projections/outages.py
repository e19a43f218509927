"""Telling what passes by itself from what would come again with the same event."""

from __future__ import annotations

from typing import Final

import asyncpg
from nats.errors import Error as NatsError

from eventstore.errors import LogMissing, LogUnavailable

_PASSING: Final = ("08", "53", "57", "58", "40", "55", "XX")
"""SQLSTATE classes: connection, resources (a full disk, too many connections), operator intervention, system error,
rolled back by others, locked by others, internal error."""


def is_outage(error: BaseException) -> bool:
    """Whether the same work may succeed later, with no event or rule changed."""
    if isinstance(error, asyncpg.PostgresError):
        return str(error.sqlstate or "08")[:2] in _PASSING
    if isinstance(error, asyncpg.InterfaceError):
        return not isinstance(error, ValueError)  # of those, a value that no column takes
    return isinstance(error, OSError | NatsError | LogUnavailable | LogMissing)
