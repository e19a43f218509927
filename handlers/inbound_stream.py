"""Where events from outside are stored before anything is done with them."""

from __future__ import annotations

from typing import Final

from eventstore.connection import Connection
from eventstore.errors import LogUnavailable
from eventstore.streams import ALREADY_THERE, ask, error_code

STREAM: Final = "INBOUND"


async def create_inbound_stream(connection: Connection, *, replicas: int = 1) -> None:
    """Create the stream if it is not there. Raises LogUnavailable."""
    config = {
        "name": STREAM,
        "subjects": ["in.>"],
        "storage": "file",
        "max_age": 90 * 24 * 3600 * 10**9,
        "compression": "s2",
        "num_replicas": replicas,
    }
    answer = await ask(connection, f"STREAM.CREATE.{STREAM}", config)
    if error_code(answer) not in (0, ALREADY_THERE):
        raise LogUnavailable(answer["error"]["description"])
