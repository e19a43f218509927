"""The limit for commands over HTTP: an empty Litestar POST handler on the same server, in a process of its own.

python -m benchmarks.empty_app PORT
"""

from __future__ import annotations

import asyncio
import signal
import sys
from typing import Any

import uvloop
from litestar import Litestar, Request, Response, post

from api.serving import serve


@post("/api/v1/commands", status_code=201)
async def empty(request: Request[Any, Any, Any]) -> Response[bytes]:
    await request.body()
    return Response(b'{"outcome":"accepted"}', media_type="application/json")


async def main(port: int) -> None:
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    await serve(Litestar([empty], logging_config=None, openapi_config=None), "127.0.0.1", port, stop)


if __name__ == "__main__":
    uvloop.run(main(int(sys.argv[1])))
