"""A front: a port that stays the same while the release behind it changes.

For every request it looks anew where it leads, so a switch needs no reconnecting and cuts nothing off. Connections
to releases are used for one request each: a release that closes an idle connection can then never lose a request.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Final

import aiohttp
from aiohttp import hdrs, web
from multidict import CIMultiDict, CIMultiDictProxy
from yarl import URL

from sagas.targets.process.problem import problem
from sagas.targets.process.upstream import Upstream
from sagas.targets.process.websocket import asks_for_websocket, bridge

LeadsTo = Callable[[], Upstream | None]

_RETRY_WITHIN: Final = 1.0
"""Seconds in which a request that got no answer may be sent again."""

_PAUSE: Final = 0.025
_CHUNK: Final = 256 * 1024
_HEADER_SIZE: Final = 64 * 1024
_IDEMPOTENT: Final = (hdrs.METH_GET, hdrs.METH_HEAD)
_HOP_BY_HOP: Final = {
    name.lower()
    for name in (
        hdrs.CONNECTION,
        hdrs.KEEP_ALIVE,
        hdrs.PROXY_AUTHENTICATE,
        hdrs.PROXY_AUTHORIZATION,
        "Proxy-Connection",
        hdrs.TE,
        hdrs.TRAILER,
        hdrs.TRANSFER_ENCODING,
        hdrs.UPGRADE,
    )
}


class AnswerLost(aiohttp.ClientConnectionError):
    """The connection broke before the answer came; the release may have acted on the request."""


async def _once(request: aiohttp.ClientRequest, send: aiohttp.ClientHandlerType) -> aiohttp.ClientResponse:
    """Keeps aiohttp from resending by itself what may have had an effect, PUT and DELETE among it."""
    try:
        return await send(request)
    except aiohttp.ClientConnectorError:
        raise
    except (aiohttp.ClientOSError, aiohttp.ServerDisconnectedError) as error:
        raise AnswerLost(str(error)) from error


def client() -> aiohttp.ClientSession:
    """The way from fronts to releases: everything passes as it is."""
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(force_close=True, limit=0),
        timeout=aiohttp.ClientTimeout(total=None, sock_connect=5),
        cookie_jar=aiohttp.DummyCookieJar(),
        skip_auto_headers=(hdrs.USER_AGENT, hdrs.ACCEPT, hdrs.ACCEPT_ENCODING, hdrs.CONTENT_TYPE),
        auto_decompress=False,
        middlewares=(_once,),
        max_line_size=_HEADER_SIZE,
        max_field_size=_HEADER_SIZE,
    )


class Front:
    """Listens from `listen` to `close`."""

    def __init__(self, name: str, leads_to: LeadsTo, session: aiohttp.ClientSession) -> None:
        self._name = name
        self._leads_to = leads_to
        self._session = session
        server = web.Server(
            self._answer,
            handler_cancellation=True,
            auto_decompress=False,
            access_log=None,
            max_line_size=_HEADER_SIZE,
            max_field_size=_HEADER_SIZE,
        )
        self._runner = web.ServerRunner(server, shutdown_timeout=5.0)

    async def listen(self, host: str, port: int) -> None:
        """Raises OSError when the port is taken."""
        await self._runner.setup()
        try:
            await web.TCPSite(self._runner, host, port, backlog=1024).start()
        except OSError:
            await self._runner.cleanup()
            raise

    async def close(self) -> None:
        """Takes no more requests; those in flight get 5 s."""
        await self._runner.cleanup()

    async def _answer(self, request: web.BaseRequest) -> web.StreamResponse:
        if not request.raw_path.startswith("/"):
            return problem(400, f"the request target {request.raw_path[:200]!r} is not a path")
        await _continue(request)
        retries = _Retries(request)
        while True:
            upstream = self._leads_to()
            if upstream is None:
                return problem(503, f"the front {self._name} leads to no release", retry_after=1)
            with upstream.busy():
                answered = await self._forward(request, upstream, retries)
            if answered is not None:
                return answered
            await asyncio.sleep(_PAUSE)

    async def _forward(
        self, request: web.BaseRequest, upstream: Upstream, retries: _Retries
    ) -> web.StreamResponse | None:
        """None: send it again."""
        if asks_for_websocket(request):
            return await bridge(request, self._session, upstream, _passed_on(request))
        try:
            answer = await self._session.request(
                request.method,
                _url(request, upstream),
                headers=_passed_on(request),
                data=request.content if request.body_exists else None,
                allow_redirects=False,
            )
        except (aiohttp.ClientError, OSError, ValueError) as error:
            if retries.allow(error):
                return None
            upstream.count(failed=True)
            return problem(502, f"the release behind the front {self._name} gave no answer: {type(error).__name__}")
        async with answer:
            upstream.count(failed=answer.status >= 500)
            return await _relay(request, answer)


class _Retries:
    """Whether a request that got no answer may be sent again."""

    def __init__(self, request: web.BaseRequest) -> None:
        self._deadline = time.monotonic() + _RETRY_WITHIN
        self._repeatable = request.method in _IDEMPOTENT and not request.body_exists

    def allow(self, error: Exception) -> bool:
        if time.monotonic() > self._deadline:
            return False
        if isinstance(error, aiohttp.ClientConnectorError):
            return True  # nothing was sent
        # Something may have happened: reads only, and once, or a request that crashes releases crashes it for long.
        once = self._repeatable and isinstance(error, AnswerLost)
        self._repeatable = False
        return once


async def _relay(request: web.BaseRequest, answer: aiohttp.ClientResponse) -> web.StreamResponse:
    response = web.StreamResponse(status=answer.status, reason=answer.reason, headers=_end_to_end(answer.headers))
    try:
        await response.prepare(request)
        async for chunk in answer.content.iter_chunked(_CHUNK):
            await response.write(chunk)
        await response.write_eof()
    except (aiohttp.ClientError, OSError):
        # The status line is out: only a broken connection tells the client that the rest is missing.
        if request.transport is not None:
            request.transport.abort()
    return response


async def _continue(request: web.BaseRequest) -> None:
    if request.headers.get(hdrs.EXPECT, "").lower() == "100-continue":
        await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        request.writer.output_size = 0


def _url(request: web.BaseRequest, upstream: Upstream) -> URL:
    return URL(f"http://127.0.0.1:{upstream.port}{request.raw_path}", encoded=True)


def _passed_on(request: web.BaseRequest) -> CIMultiDict[str]:
    headers = _end_to_end(request.headers)
    headers.popall(hdrs.EXPECT, None)
    came_by = [*headers.popall(hdrs.X_FORWARDED_FOR, []), request.remote or "unknown"]
    headers[hdrs.X_FORWARDED_FOR] = ", ".join(came_by)
    headers.setdefault(hdrs.X_FORWARDED_HOST, request.headers.get(hdrs.HOST, ""))
    headers.setdefault(hdrs.X_FORWARDED_PROTO, "http")
    return headers


def _end_to_end(headers: CIMultiDictProxy[str]) -> CIMultiDict[str]:
    named = {name.strip().lower() for value in headers.getall(hdrs.CONNECTION, []) for name in value.split(",")}
    return CIMultiDict((name, value) for name, value in headers.items() if name.lower() not in _HOP_BY_HOP | named)
