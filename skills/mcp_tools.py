"""The tools of a server of the Model Context Protocol, as skills.

    async with mcp_server("http://127.0.0.1:8100/mcp") as server:
        skills = await server.skills(prefix="files_")

What the server answers with an error fails the call for good, and nothing beside it. A call whose answer is lost may
have been done: it is tried again only if the tool says that this does no harm (`readOnlyHint`, `idempotentHint`).
"""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Final

from domain.skill import RetryPolicy, Specification
from skills.mcp_connection import CALL, Connection, Fate, Link, connected
from skills.skill import Context, Skill, SkillFailed

if TYPE_CHECKING:
    from mcp.shared.dispatcher import ProgressFnT
    from mcp_types import CallToolResult, Tool

_PATIENCE: Final = 15.0
_LONGEST_NAME: Final = 64


class McpServer:
    """One server. `timeout`: seconds for one call."""

    def __init__(self, connection: Connection, timeout: float) -> None:
        self._connection = connection
        self._timeout = timeout

    async def skills(self, prefix: str = "") -> tuple[Skill[Any, Any], ...]:
        """One a tool, in version `mcp`. Raises SkillFailed when the server cannot be reached, ValueError for two tools
        whose names become the same."""
        tools: list[Tool] = []
        cursor: str | None = None
        client = (await self._link()).client
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
        again = may_be_repeated(tool)
        specification = Specification(
            version="mcp",
            description=(tool.description or tool.title or tool.name)[:2_000],
            input=tool.input_schema,
            output=tool.output_schema or {},
            capabilities=("mcp",),
            timeout=self._timeout,
            # Without an answer by the deadline it may have been done, too.
            retry=RetryPolicy() if again else RetryPolicy(attempts=1),
            effects=not (tool.annotations and tool.annotations.read_only_hint),
        )
        return Skill(name, specification, "async", self._calling(tool.name, again), dict[str, Any], object)

    def _calling(self, tool: str, again: bool) -> Callable[[dict[str, Any], Context], Awaitable[object]]:
        async def call(arguments: dict[str, Any], context: Context) -> object:
            meta: Any = {CALL: context.system.call}
            while True:
                link = await self._link()
                try:
                    with link.call() as client:
                        result = await client.call_tool(
                            tool, arguments, progress_callback=_progress_of(context), meta=meta
                        )
                except Exception as error:
                    if link.fates.get(context.system.call) == "no session":
                        continue
                    raise _failure(error, link.fates.pop(context.system.call, None), again) from error
                return answer_of(result)

        return call

    async def _link(self) -> Link:
        try:
            return await self._connection.link(_PATIENCE)
        except TimeoutError as error:
            raise SkillFailed("the MCP server cannot be reached") from error


@asynccontextmanager
async def mcp_server(where: str, timeout: float = 60.0) -> AsyncGenerator[McpServer]:
    """Connected to the server at a URL (streamable HTTP), or to the one that a command line starts (stdio)."""
    async with connected(where, timeout) as connection:
        yield McpServer(connection, timeout)


def may_be_repeated(tool: Tool) -> bool:
    """Whether it says so."""
    hints = tool.annotations
    return hints is not None and bool(hints.read_only_hint or hints.idempotent_hint)


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


def _failure(error: Exception, fate: Fate | None, again: bool) -> SkillFailed:
    if fate == "not sent":
        return SkillFailed("the MCP server cannot be reached")
    if fate == "not answered" or _is_loss(error):
        note = "" if again else "; it may have been done"
        return SkillFailed(f"the MCP server did not answer{note}: {error}", retryable=again)
    return SkillFailed(f"the MCP server gave no result: {error}", retryable=False)


def _is_loss(error: Exception) -> bool:
    """Whether nothing came from the server. Some servers use these codes for answers, and no harm is done then."""
    import anyio
    from mcp import MCPError
    from mcp_types import CONNECTION_CLOSED, REQUEST_TIMEOUT

    if isinstance(error, MCPError):
        return error.code in {CONNECTION_CLOSED, REQUEST_TIMEOUT}
    return isinstance(error, OSError | anyio.BrokenResourceError | anyio.ClosedResourceError)


def _progress_of(context: Context) -> ProgressFnT:
    async def progressed(progress: float, total: float | None, message: str | None) -> None:
        if total:
            context.progress(min(1.0, progress / total), message or "")

    return progressed
