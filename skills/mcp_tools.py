"""The tools of a server of the Model Context Protocol, as skills.

    async with mcp_server("http://127.0.0.1:8100/mcp") as server:
        skills = await server.skills(prefix="files_")

What the server calls an error of the tool fails the call for good; a connection that is lost is made again, and the
call may be tried again.
"""

from __future__ import annotations

import asyncio
import logging
import re
import shlex
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Final

from domain.skill import Specification
from eventstore.tasks import end_tasks
from skills.skill import Context, Skill, SkillFailed

if TYPE_CHECKING:
    from mcp import Client, StdioServerParameters
    from mcp_types import CallToolResult, Tool

log = logging.getLogger(__name__)

_PAUSE: Final = 1.0
_PATIENCE: Final = 15.0
_LONGEST_NAME: Final = 64


class McpServer:
    """One server, connected to for as long as `run` is running. `timeout`: seconds for one call."""

    def __init__(self, server: str | StdioServerParameters, timeout: float) -> None:
        self._server = server
        self._timeout = timeout
        self._client: Client | None = None
        self._connected = asyncio.Event()
        self._broken = asyncio.Event()

    async def run(self) -> None:
        """Until cancelled; connects again when the connection is lost."""
        from mcp import Client

        told = ""
        while True:
            try:
                async with Client(self._server, read_timeout_seconds=self._timeout) as client:
                    self._client, told = client, ""
                    self._broken.clear()
                    self._connected.set()
                    await self._broken.wait()
            except Exception as error:
                if told != str(error):
                    log.error("the MCP server cannot be reached: %s", error)
                    told = str(error)
            finally:
                self._connected.clear()
                self._client = None
            await asyncio.sleep(_PAUSE)

    async def skills(self, prefix: str = "") -> tuple[Skill[Any, Any], ...]:
        """One a tool, in version `mcp`. Raises SkillFailed when the server cannot be reached, ValueError for two tools
        whose names become the same."""
        tools: list[Tool] = []
        cursor: str | None = None
        client = await self._reached()
        while True:
            page = await client.list_tools(cursor=cursor)
            tools += page.tools
            cursor = page.next_cursor
            if cursor is None:
                break
        named = {name_of(tool.name, prefix): tool for tool in tools}
        if len(named) < len(tools):
            raise ValueError("two tools have names that come to the same")
        return tuple(self._skill(name, tool) for name, tool in named.items())

    def _skill(self, name: str, tool: Tool) -> Skill[Any, Any]:
        specification = Specification(
            version="mcp",
            description=(tool.description or tool.title or tool.name)[:2_000],
            input=tool.input_schema,
            output=tool.output_schema or {},
            capabilities=("mcp",),
            timeout=self._timeout,
            effects=not (tool.annotations and tool.annotations.read_only_hint),
        )
        return Skill(name, specification, "async", self._calling(tool.name), dict[str, Any], object)

    def _calling(self, tool: str) -> Callable[[dict[str, Any], Context], Awaitable[object]]:
        async def call(arguments: dict[str, Any], context: Context) -> object:
            async def progressed(progress: float, total: float | None, message: str | None) -> None:
                if total:
                    context.progress(min(1.0, progress / total), message or "")

            client = await self._reached()
            try:
                result = await client.call_tool(tool, arguments, progress_callback=progressed)
            except Exception as error:
                self._broken.set()
                raise SkillFailed(f"the MCP server did not answer: {error}") from error
            return answer_of(result)

        return call

    async def _reached(self) -> Client:
        try:
            async with asyncio.timeout(_PATIENCE):
                await self._connected.wait()
        except TimeoutError as error:
            raise SkillFailed("the MCP server cannot be reached") from error
        assert self._client is not None
        return self._client


@asynccontextmanager
async def mcp_server(where: str, timeout: float = 60.0) -> AsyncGenerator[McpServer]:
    """Connected to the server at a URL (streamable HTTP), or to the one that a command line starts (stdio)."""
    from mcp import StdioServerParameters

    target: str | StdioServerParameters = where
    if not re.match(r"https?://", where):
        program, *arguments = shlex.split(where)
        target = StdioServerParameters(command=program, args=arguments)
    server = McpServer(target, timeout)
    running = asyncio.create_task(server.run())
    try:
        yield server
    finally:
        await end_tasks(running)


def name_of(tool: str, prefix: str = "") -> str:
    """The name of the skill: what names of skills cannot have becomes `_`."""
    return re.sub(r"[^A-Za-z0-9_-]", "_", prefix + tool)[:_LONGEST_NAME].lstrip("_-") or "tool"


def answer_of(result: CallToolResult) -> object:
    """What the tool gave as data, or else `{"text": ...}`. Raises SkillFailed with what it says of its failure."""
    from mcp_types import TextContent

    text = "\n".join(part.text for part in result.content if isinstance(part, TextContent))
    if result.is_error:
        raise SkillFailed(text or "the tool failed and does not say why", retryable=False)
    return {"text": text} if result.structured_content is None else result.structured_content
