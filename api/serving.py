"""Serving an ASGI application with granian, in this process and on this event loop."""

from __future__ import annotations

import asyncio
from typing import Any

from granian.constants import Interfaces
from granian.server.embed import Server

from eventstore.tasks import end_tasks


async def serve(application: Any, host: str, port: int, stop: asyncio.Event) -> None:
    """Until `stop` is set. Raises OSError when the port is taken."""
    server = Server(
        application,
        address=host,
        port=port,
        interface=Interfaces.ASGI,
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
        await asyncio.wait({serving}, timeout=5)
        await end_tasks(serving, stopping)
