"""Passing a request on to a release, and its answer back, as they are.

Connections to releases are used for one request each: a release that closes an idle connection can then never lose
a request.
"""

from __future__ import annotations

from typing import Final, Literal

import aiohttp
from aiohttp import hdrs, web
from multidict import CIMultiDict, CIMultiDictProxy
from yarl import URL

_CHUNK: Final = 256 * 1024
HEADER_SIZE: Final = 64 * 1024

End = Literal["whole", "cut", "abandoned"]
"""All of it arrived, the release broke off, the client left."""

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
        max_line_size=HEADER_SIZE,
        max_field_size=HEADER_SIZE,
    )


async def relay(request: web.BaseRequest, answer: aiohttp.ClientResponse) -> tuple[web.StreamResponse, End]:
    """The answer as it went back, and how that ended."""
    response = web.StreamResponse(status=answer.status, reason=answer.reason, headers=_end_to_end(answer.headers))
    try:
        await response.prepare(request)
        async for chunk in answer.content.iter_chunked(_CHUNK):
            await response.write(chunk)
        await response.write_eof()
    except (aiohttp.ClientError, OSError):
        if request.transport is None or request.transport.is_closing():
            return response, "abandoned"
        # The status line is out: only a broken connection tells the client that the rest is missing.
        request.transport.abort()
        return response, "cut"
    return response, "whole"


async def let_go_on(request: web.BaseRequest) -> None:
    """To a client that waits for a word before it sends the body."""
    if request.headers.get(hdrs.EXPECT, "").lower() == "100-continue":
        await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        request.writer.output_size = 0


def url(request: web.BaseRequest, port: int) -> URL:
    return URL(f"http://127.0.0.1:{port}{request.raw_path}", encoded=True)


def passed_on(request: web.BaseRequest) -> CIMultiDict[str]:
    headers = _end_to_end(request.headers)
    headers.popall(hdrs.EXPECT, None)
    came_by = [*headers.popall(hdrs.X_FORWARDED_FOR, []), request.remote or "unknown"]
    headers[hdrs.X_FORWARDED_FOR] = ", ".join(came_by)
    headers.setdefault(hdrs.X_FORWARDED_HOST, request.headers.get(hdrs.HOST, ""))
    headers.setdefault(hdrs.X_FORWARDED_PROTO, "http")
    return headers


def _end_to_end(headers: CIMultiDictProxy[str]) -> CIMultiDict[str]:
    dropped = _HOP_BY_HOP
    if hdrs.CONNECTION in headers:
        named = (name for value in headers.getall(hdrs.CONNECTION) for name in value.split(","))
        dropped = dropped.union(name.strip().lower() for name in named)
    return CIMultiDict([(name, value) for name, value in headers.items() if name.lower() not in dropped])
