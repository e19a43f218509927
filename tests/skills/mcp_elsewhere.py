"""An MCP server of somebody else's over HTTP, in the process of the tests, by the official SDK."""

import asyncio
from contextlib import asynccontextmanager

import uvicorn
from mcp import MCPError
from mcp.server.lowlevel import Server
from mcp_types import METHOD_NOT_FOUND, CallToolResult, ListToolsResult, RequestParams, TextContent, Tool

from sagacity.embedded.directory import free_port


class Elsewhere:
    """With `sessions`, as most have them, or without, as the protocol has it since 2026. `calls`: the keys of those
    that it has begun."""

    def __init__(self, sessions):
        self.port, self.calls, self._sessions = free_port(), [], sessions

    @asynccontextmanager
    async def running(self):
        app = self._server().streamable_http_app()
        server = uvicorn.Server(
            uvicorn.Config(app, port=self.port, log_level="critical", timeout_graceful_shutdown=0, lifespan="on")
        )
        serving = asyncio.create_task(server.serve())
        async with asyncio.timeout(10):
            while not server.started:
                await asyncio.sleep(0.01)
        try:
            yield
        finally:
            server.should_exit = True
            async with asyncio.timeout(10):
                await serving

    def _server(self):
        async def tools(_, __):
            return ListToolsResult(tools=[Tool(name="note", input_schema={"type": "object"})])

        async def call(_, params):
            self.calls.append(params.meta["sagacity/call"])
            return CallToolResult(content=[TextContent(text="noted")])

        async def unknown(_, __):
            raise MCPError(METHOD_NOT_FOUND, "Method not found")

        server = Server("elsewhere", on_list_tools=tools, on_call_tool=call)
        if self._sessions:
            server.add_request_handler("server/discover", RequestParams, unknown)
        return server
