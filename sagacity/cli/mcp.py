"""`sagacity mcp`: a server of the Model Context Protocol in front of a running platform."""

from __future__ import annotations

import asyncio
from importlib.metadata import version

import click

from sagacity.cli import UserError
from sagacity.cli.connecting import ApiPlace, api_options, open_api, run
from sagacity.cli.stopping import until_stopped


@click.command()
@click.option("--port", type=click.IntRange(1, 65_535), help="Streamable HTTP on this port, instead of stdio.")
@api_options
def mcp(*, target: ApiPlace, port: int | None) -> None:
    """Offer skills and workflows as MCP tools, read models and the audit trail as resources.

    Over standard input and output, as programs that start their MCP servers themselves want it, or with --port over
    streamable HTTP at http://127.0.0.1:PORT/mcp.

    Example:

        sagacity mcp --port 8100
    """
    try:
        run(_over_http(target, port) if port else _over_stdio(target))
    except OSError as error:
        raise UserError(str(error)) from error


async def _over_stdio(target: ApiPlace) -> None:
    from mcp.server.stdio import stdio_server

    from api.mcp.platform import Platform
    from api.mcp.server import mcp_server

    async with open_api(target) as api:
        server = mcp_server(Platform(api.client), version("sagacity"))
        async with stdio_server() as (incoming, outgoing):
            await server.run(incoming, outgoing, server.create_initialization_options())


async def _over_http(target: ApiPlace, port: int) -> None:
    from api.mcp.platform import Platform
    from api.mcp.server import mcp_server
    from api.serving import serve

    async with open_api(target) as api:
        app = mcp_server(Platform(api.client), version("sagacity")).streamable_http_app()

        async def work(stop: asyncio.Event) -> None:
            click.echo(f"http://127.0.0.1:{port}/mcp in front of {api.url}")
            await serve(app, "127.0.0.1", port, stop)

        await until_stopped(work)
