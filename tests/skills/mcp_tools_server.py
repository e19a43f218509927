"""An MCP server of somebody else's, by the official SDK."""

import asyncio
import os
from pathlib import Path

from mcp import MCPError
from mcp.server import MCPServer
from mcp.server.mcpserver.exceptions import ToolError
from mcp_types import INVALID_REQUEST, ToolAnnotations

server = MCPServer("elsewhere")


@server.tool()
def add(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b


@server.tool()
def fail(reason: str) -> str:
    raise ToolError(reason)


@server.tool(name="say.it")
def say(text: str) -> str:
    return text


@server.tool()
def refuse(reason: str) -> str:
    """With an error of the protocol."""
    raise MCPError(INVALID_REQUEST, reason)


@server.tool()
async def wait_for(began: str, end: str) -> str:
    """Until there is a file `end`."""
    Path(began).touch()
    while not Path(end).exists():
        await asyncio.sleep(0.01)
    return "there it is"


@server.tool()
def die(file: str) -> str:
    """An effect, and no answer."""
    with Path(file).open("a") as effects:
        effects.write("done\n")
    os._exit(1)


@server.tool(annotations=ToolAnnotations(idempotent_hint=True))
def die_once(file: str) -> str:
    """An answer where the effect is there already."""
    return "done before" if Path(file).exists() else die(file)


@server.tool(annotations=ToolAnnotations(read_only_hint=True))
def look() -> str:
    return "seen"


if __name__ == "__main__":
    server.run()
