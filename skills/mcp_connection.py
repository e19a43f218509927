"""A connection to an MCP server, made again when it is lost. Nothing else ends it: what the server answers, errors
included, is the matter of one call."""

from __future__ import annotations

import asyncio
import logging
import re
import shlex
from collections.abc import AsyncGenerator, Generator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager, suppress
from typing import TYPE_CHECKING, Any, Final, Literal, cast

from eventstore.tasks import end_tasks

if TYPE_CHECKING:
    from mcp import Client
    from mcp.client import Transport

log = logging.getLogger(__name__)

Fate = Literal["not sent", "no session", "not answered"]
"""not sent: nobody took it; no session: the server knows nothing of ours, so that it has not begun; not answered: it
may have been done."""

CALL: Final = "sagacity/call"
"""In `_meta` of each call: the key under which the server may have its effect once."""
_PAUSE: Final = 1.0


class Link:
    """A connection from when it is made until it is `lost`. `fates`: of the calls that were not answered over HTTP."""

    def __init__(self) -> None:
        self.lost = asyncio.Event()
        self.fates: dict[str, Fate] = {}
        self.client: Client
        self.idle = asyncio.Event()
        self._calls = 0
        self.idle.set()

    @contextmanager
    def call(self) -> Generator[Client]:
        """It is in use meanwhile, even if it is lost for others."""
        self._calls += 1
        self.idle.clear()
        try:
            yield self.client
        finally:
            self._calls -= 1
            if not self._calls:
                self.idle.set()

    def told(self, call: str, fate: Fate) -> None:
        if call:
            self.fates[call] = fate
        if fate == "no session":
            self.lost.set()


class Connection:
    """To one server, for as long as `run` is running. `timeout`: seconds for one request."""

    def __init__(self, where: str, timeout: float) -> None:
        self._where = where
        self._timeout = timeout
        self._link: Link | None = None
        self._made = asyncio.Event()
        self._told = ""

    async def run(self) -> None:
        """Until cancelled; connects again when the connection is lost."""
        async with asyncio.TaskGroup() as links:
            while True:
                link = Link()
                links.create_task(self._keep(link))
                await link.lost.wait()
                await asyncio.sleep(_PAUSE)

    async def link(self, patience: float) -> Link:
        """Raises TimeoutError after so many seconds without a server."""
        async with asyncio.timeout(patience):
            while self._link is None or self._link.lost.is_set():
                self._made.clear()
                await self._made.wait()
        return self._link

    async def _keep(self, link: Link) -> None:
        try:
            await self._hold(link)
            log.warning("the connection to the MCP server is lost")
            self._told = ""
        except Exception as error:
            reason = str(_first(error))
            if self._told != reason:
                log.error("the MCP server cannot be reached: %s", reason)
            self._told = reason
        finally:
            link.lost.set()

    async def _hold(self, link: Link) -> None:
        """Until it is lost, and the calls that are on their way have come to an end: closing it would end them."""
        from mcp import Client

        async with Client(_watched(self._transport(link), link), read_timeout_seconds=self._timeout) as link.client:
            self._link = link
            self._made.set()
            await link.lost.wait()
            await link.idle.wait()

    def _transport(self, link: Link) -> Transport:
        """Raises ValueError for a command line that is none."""
        if re.match(r"https?://", self._where):
            return _over_http(self._where, self._timeout, link)
        from mcp import StdioServerParameters
        from mcp.client.stdio import stdio_client

        program, *arguments = shlex.split(self._where)
        return stdio_client(StdioServerParameters(command=program, args=arguments))


@asynccontextmanager
async def connected(where: str, timeout: float) -> AsyncGenerator[Connection]:
    """To the server at a URL (streamable HTTP), or to the one that a command line starts (stdio)."""
    connection = Connection(where, timeout)
    running = asyncio.create_task(connection.run())
    try:
        yield connection
    finally:
        await end_tasks(running)


@asynccontextmanager
async def _over_http(url: str, timeout: float, link: Link) -> AsyncGenerator[Any]:
    from mcp.client.streamable_http import streamable_http_client

    from skills.mcp_http import Http

    async with Http(timeout, link.told) as http, streamable_http_client(url, http_client=http) as streams:
        yield streams


@asynccontextmanager
async def _watched(transport: AbstractAsyncContextManager[Any], link: Link) -> AsyncGenerator[Any]:
    """The SDK tells nobody that a server is gone: the next call would find out, when it is too late to wait."""
    import anyio

    async with transport as (incoming, outgoing):
        send, receive = anyio.create_memory_object_stream[Any](0)

        async def pass_on() -> None:
            with suppress(anyio.BrokenResourceError, anyio.ClosedResourceError):
                async with send:
                    async for message in incoming:
                        await send.send(message)
            link.lost.set()

        async with anyio.create_task_group() as group:
            group.start_soon(pass_on)
            try:
                yield receive, outgoing
            finally:
                group.cancel_scope.cancel()


def _first(error: Exception) -> Exception:
    """What went wrong first, where a group of tasks failed."""
    if isinstance(error, ExceptionGroup):
        return _first(cast("ExceptionGroup[Exception]", error).exceptions[0])
    return error
