"""`sagacity mcp`: a server of the Model Context Protocol in front of a running platform."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Generator
from contextlib import contextmanager, suppress
from importlib.metadata import version
from typing import TYPE_CHECKING, Any, Final

import click

from sagacity.cli import UserError
from sagacity.cli.connecting import ApiPlace, api_options, open_api, run
from sagacity.cli.stopping import until_stopped

if TYPE_CHECKING:
    from mcp.server.lowlevel import Server

_FAREWELL: Final = 2
"""Seconds for requests under way; streams never end by themselves."""


@click.command()
@click.option("--port", type=click.IntRange(1, 65_535), help="Streamable HTTP on this port, instead of stdio.")
@click.option("--tool", "tools", multiple=True, metavar="NAME", help="Offer this one too, whatever its effects.")
@click.option("--all-tools", is_flag=True, help="Offer every skill and workflow, whatever its effects.")
@api_options
def mcp(*, target: ApiPlace, port: int | None, tools: tuple[str, ...], all_tools: bool) -> None:
    """Offer skills and workflows as MCP tools, read models and the audit trail as resources.

    Skills without effects are offered; others, and workflows (as workflow.NAME), where they are named by --tool, which
    may be given more than once, or with --all-tools.

    Over standard input and output, as programs that start their MCP servers themselves want it, or with --port over
    streamable HTTP at http://127.0.0.1:PORT/mcp.

    Example:

        sagacity mcp --port 8100
    """
    try:
        run(_serve(target, port, tools, all_tools))
    except OSError as error:
        raise UserError(str(error)) from error


async def _serve(target: ApiPlace, port: int | None, tools: tuple[str, ...], all_tools: bool) -> None:
    from api.mcp.platform import Platform
    from api.mcp.server import mcp_server
    from api.mcp.tools import Choice

    async with open_api(target) as api:
        server = mcp_server(Platform(api.client), version("sagacity"), Choice(frozenset(tools), all_tools))
        await (_over_http(server, api.url, port) if port else _over_stdio(server))


async def _over_stdio(server: Server[Any]) -> None:
    from mcp.server.stdio import stdio_server

    async with stdio_server() as (incoming, outgoing):
        await server.run(incoming, outgoing, server.create_initialization_options())


async def _over_http(server: Server[Any], url: str, port: int) -> None:
    """Raises OSError when the port is taken. By the server that the SDK has: granian, embedded for so short a time,
    aborts one process in three when it ends (https://github.com/emmett-framework/granian/issues/693)."""
    import uvicorn

    class Served(uvicorn.Server):
        @contextmanager
        def capture_signals(self) -> Generator[None]:
            """They are ours."""
            yield

    # For this host it also refuses requests by another name, as pages of a browser could send them (DNS rebinding).
    app = server.streamable_http_app(host="127.0.0.1")
    served = Served(uvicorn.Config(app, log_level="warning", lifespan="on", timeout_graceful_shutdown=_FAREWELL))

    async def work(_: asyncio.Event) -> None:
        with socket.create_server(("127.0.0.1", port)) as listening:
            click.echo(f"http://127.0.0.1:{port}/mcp in front of {url}")
            serving = asyncio.create_task(served.serve(sockets=[listening]))
            with suppress(asyncio.CancelledError):
                await asyncio.wait({serving})
            served.should_exit = True
            await serving

    await until_stopped(work)
