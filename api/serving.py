"""Serving an ASGI application with granian, in this process and on this event loop."""

from __future__ import annotations

import asyncio
import socket
from typing import Any, Final

from granian.constants import Interfaces
from granian.server.embed import Server

from eventstore.tasks import end_tasks

_BACKLOG: Final = 1_024
_CONNECTIONS: Final = 16_384
"""Open at once. Granian's own limit is its backlog (128): as many subscribers would shut everybody else out."""

FAREWELL: Final = 2.0
"""Seconds for requests under way; streams never end by themselves."""


async def serve(application: Any, host: str, port: int, stop: asyncio.Event) -> None:
    """Until `stop` is set. Raises OSError when the port is taken; 0 is no port here."""
    _check(host, port)
    server = Server(
        application,
        address=host,
        port=port,
        interface=Interfaces.ASGI,
        backlog=_BACKLOG,
        backpressure=_CONNECTIONS,
        log_enabled=False,
        log_access=False,
        websockets=True,
    )
    serving = asyncio.create_task(server.serve())
    stopping = asyncio.create_task(stop.wait())
    try:
        await asyncio.wait({serving, stopping}, return_when=asyncio.FIRST_COMPLETED)
        if serving.done():
            return await serving
    finally:
        server.stop()
        await asyncio.wait({serving}, timeout=FAREWELL)
        await end_tasks(serving, stopping)


def _check(host: str, port: int) -> None:
    """Granian would share a port that is taken (SO_REUSEPORT), or end without a word."""
    if not 0 < port < 65_536:
        raise OSError(f"{port} is no port to listen on")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise OSError(error.errno, f"{host}:{port} cannot be listened on: {error.strerror}") from error
