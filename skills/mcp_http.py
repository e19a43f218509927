"""Requests to an MCP server over HTTP, each of which fails for itself: the SDK would end the connection, and with it
all that is on its way."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Final

import httpx2
import msgspec

from skills.mcp_connection import CALL, Fate

_PAUSES: Final = (0.1, 0.2, 0.4, 0.8, 1.6, 3.2)
_READ: Final = 300.0
"""Seconds, as the SDK has it."""


class Http(httpx2.AsyncClient):
    """`tell` is given the call and what became of its request, unless that was answered."""

    def __init__(self, timeout: float, tell: Callable[[str, Fate], None]) -> None:
        super().__init__(timeout=httpx2.Timeout(30.0, read=max(_READ, 2 * timeout)))
        self._tell = tell

    async def send(self, request: httpx2.Request, **how: Any) -> httpx2.Response:
        """Raises httpx2.TransportError for what is no call."""
        call = call_in(request)
        try:
            answer = await self._connected(request, how)
        except httpx2.TransportError as error:
            if not call:
                raise
            self._tell(call, "not sent" if _never_sent(error) else "not answered")
            return httpx2.Response(502, request=request)
        # MCP, "Streamable HTTP", session management: then a client begins a new session.
        if answer.status_code == 404 and "mcp-session-id" in request.headers:
            self._tell(call, "no session")
        elif answer.status_code >= 500 and call:
            self._tell(call, "not answered")
        return answer

    async def _connected(self, request: httpx2.Request, how: dict[str, Any]) -> httpx2.Response:
        """What was never sent does no harm when it is sent again."""
        for pause in _PAUSES:
            try:
                return await super().send(request, **how)
            except httpx2.TransportError as error:
                if not _never_sent(error):
                    raise
            await asyncio.sleep(pause)
        return await super().send(request, **how)


def call_in(request: httpx2.Request) -> str:
    """Which call a request is, or nothing."""
    if request.method != "POST":
        return ""
    try:
        return msgspec.json.decode(request.content)["params"]["_meta"][CALL]
    except (msgspec.DecodeError, KeyError, TypeError):
        return ""


def _never_sent(error: httpx2.TransportError) -> bool:
    return isinstance(error, httpx2.ConnectError | httpx2.ConnectTimeout | httpx2.PoolTimeout)
