"""WebSocket connections through a front: they stay on the release they were opened on until it is retired."""

from __future__ import annotations

import asyncio
from typing import Final

import aiohttp
from aiohttp import hdrs, web
from multidict import CIMultiDict
from yarl import URL

_OWN_HEADERS: Final = (
    hdrs.SEC_WEBSOCKET_KEY,
    hdrs.SEC_WEBSOCKET_VERSION,
    hdrs.SEC_WEBSOCKET_EXTENSIONS,
    hdrs.SEC_WEBSOCKET_PROTOCOL,
)
"""These belong to one of the two connections that make up a bridge."""

_Side = web.WebSocketResponse | aiohttp.ClientWebSocketResponse


def asks_for_websocket(request: web.BaseRequest) -> bool:
    return request.method == hdrs.METH_GET and request.headers.get(hdrs.UPGRADE, "").lower() == "websocket"


async def connect(
    session: aiohttp.ClientSession, url: URL, headers: CIMultiDict[str]
) -> aiohttp.ClientWebSocketResponse:
    """Raises aiohttp.WSServerHandshakeError when the release says no, other aiohttp errors when it says nothing."""
    protocols = [p.strip() for p in headers.get(hdrs.SEC_WEBSOCKET_PROTOCOL, "").split(",") if p.strip()]
    for name in _OWN_HEADERS:
        headers.popall(name, None)
    return await session.ws_connect(url, headers=headers, protocols=protocols, autoping=False, max_msg_size=0)


async def bridge(request: web.BaseRequest, release: aiohttp.ClientWebSocketResponse) -> web.WebSocketResponse:
    """Until one side closes."""
    agreed = (release.protocol,) if release.protocol else ()
    client = web.WebSocketResponse(protocols=agreed, autoping=False, max_msg_size=0)
    await client.prepare(request)
    ways = {asyncio.create_task(_pass(client, release)), asyncio.create_task(_pass(release, client))}
    try:
        await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for way in ways:
            way.cancel()
        await asyncio.gather(*ways, return_exceptions=True)
    return client


async def _pass(source: _Side, sink: _Side) -> None:
    """Everything that comes from `source` until it closes; then `sink` is closed for the same reason."""
    async for message in source:
        if message.type is aiohttp.WSMsgType.TEXT:
            await sink.send_str(message.data)
        elif message.type is aiohttp.WSMsgType.BINARY:
            await sink.send_bytes(message.data)
        elif message.type is aiohttp.WSMsgType.PING:
            await sink.ping(message.data)
        elif message.type is aiohttp.WSMsgType.PONG:
            await sink.pong(message.data)
    await sink.close(code=source.close_code or aiohttp.WSCloseCode.GOING_AWAY)
