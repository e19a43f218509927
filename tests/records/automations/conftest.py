"""A log of each test's own, and a place that takes alerts."""

from __future__ import annotations

import json
import threading
from collections.abc import AsyncIterator, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest
import pytest_asyncio

from sagacity.initialising import initialise_server
from sagacity.wiring import open_core
from tests.eventstore.servers import Servers
from tests.records.automations.platform import Automating


class Receiver:
    """An HTTP server that keeps what is posted to it."""

    def __init__(self) -> None:
        self.received: list[dict[str, Any]] = []
        self.status = 200
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                outer.received.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
                self.send_response(outer.status)
                self.end_headers()

            def log_message(self, format: str, *args: Any) -> None:
                pass

        self._server = HTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"json://127.0.0.1:{self._server.server_port}/alerts"
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02})
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    receiver = Receiver()
    try:
        yield receiver
    finally:
        receiver.close()


@pytest_asyncio.fixture
async def automating(own_nats: Servers, receiver: Receiver) -> AsyncIterator[Automating]:
    """With a source `scans` of files and one `orders` of rows."""
    await own_nats.ready()
    await initialise_server(own_nats.url)
    async with open_core(own_nats.url, name="automating") as core:
        automating = Automating(core, {"ALERTS": receiver.url})
        await automating.command("source.register", "scans", {"platform": "folder", "name": "Scans"})
        await automating.command("source.register", "orders", {"platform": "database", "name": "Orders"})
        yield automating
