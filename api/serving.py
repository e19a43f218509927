"""Serving an ASGI application with granian, in this process and on this event loop."""

from __future__ import annotations

import asyncio
from typing import Any

from granian.constants import Interfaces
from granian.server.embed import Server


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
    await asyncio.wait({serving, stopping}, return_when=asyncio.FIRST_COMPLETED)
    if serving.done():
        stopping.cancel()
        return await serving
    server.stop()
    await asyncio.wait({serving}, timeout=10)
