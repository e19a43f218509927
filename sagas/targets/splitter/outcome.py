"""How one request to an arm ended, as it is counted."""

from __future__ import annotations

import time

from aiohttp import web

from sagas.targets.splitter.counting import ArmCounts


class Outcome:
    """Its time begins now."""

    def __init__(self, request: web.BaseRequest, counts: ArmCounts, incident_header: str | None) -> None:
        self._request = request
        self._counts = counts
        self._incident = request.headers.get(incident_header) if incident_header else None
        self._over = False
        self._began = time.perf_counter()

    def answered(self, status: int) -> None:
        self._record(status, time.perf_counter() - self._began)

    def answered_websocket(self, status: int) -> None:
        self._record(status, None)

    def unanswered(self) -> None:
        self._record(None, None)

    def abandoned(self) -> None:
        """By the client; nothing when it is over already, as for a WebSocket that goes on."""
        if not self._over:
            self._over = True
            self._counts.abandoned(time.perf_counter() - self._began)

    def _record(self, status: int | None, seconds: float | None) -> None:
        self._over = True
        self._counts.record(status, seconds, self._request.method, self._request.raw_path, self._incident)
