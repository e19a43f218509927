"""An MCP server of somebody else's, by the official SDK."""

from mcp.server import MCPServer
from mcp.server.mcpserver.exceptions import ToolError

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


if __name__ == "__main__":
    server.run()
