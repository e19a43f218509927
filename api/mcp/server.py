"""The MCP server, by the official SDK. Every call of a tool is a run on the record, as from anywhere else."""

from __future__ import annotations

import json
from typing import Any, Final

from mcp import MCPError
from mcp.server.context import ServerRequestContext
from mcp.server.lowlevel import Server
from mcp_types import (
    INVALID_PARAMS,
    CallToolRequestParams,
    CallToolResult,
    ListResourcesResult,
    ListResourceTemplatesResult,
    ListToolsResult,
    PaginatedRequestParams,
    ReadResourceRequestParams,
    ReadResourceResult,
    TextResourceContents,
)

from api.mcp import resources, tools
from api.mcp.platform import Platform, Refused, TooLarge
from api.mcp.tools import HARMLESS, Choice, Offer

_INSTRUCTIONS: Final = (
    "Tools are skills and workflows of Sagacity; every call is recorded with its input, output and cost. "
    "Resources are its read models and its audit trail."
)
Request = ServerRequestContext[Any, Any]


def mcp_server(platform: Platform, version: str, choice: Choice = HARMLESS) -> Server[Any]:
    """`choice`: which tools are offered; unless told otherwise, those that change nothing."""

    async def list_tools(_: Request, __: PaginatedRequestParams | None) -> ListToolsResult:
        offers = (await _offers(platform)).values()
        return ListToolsResult(tools=[offer.tool for offer in offers if choice.has(offer)])

    async def call_tool(context: Request, params: CallToolRequestParams) -> CallToolResult:
        offer = (await _offers(platform)).get(params.name)
        if offer is None:
            raise MCPError(INVALID_PARAMS, f"there is no tool {params.name}")
        if not choice.has(offer):
            raise MCPError(INVALID_PARAMS, f"{params.name} may have effects: it is offered with --tool {params.name}")
        return await _call(platform, context, offer, params.arguments or {})

    async def list_resources(_: Request, __: PaginatedRequestParams | None) -> ListResourcesResult:
        known = await _asked(platform, "/projections")
        return ListResourcesResult(resources=resources.listed([each["name"] for each in known]))

    async def list_templates(_: Request, __: PaginatedRequestParams | None) -> ListResourceTemplatesResult:
        return ListResourceTemplatesResult(resource_templates=resources.templates())

    async def read_resource(_: Request, params: ReadResourceRequestParams) -> ReadResourceResult:
        return await _read(platform, params.uri)

    return Server(
        "sagacity",
        version=version,
        instructions=_INSTRUCTIONS,
        on_list_tools=list_tools,
        on_call_tool=call_tool,
        on_list_resources=list_resources,
        on_list_resource_templates=list_templates,
        on_read_resource=read_resource,
    )


async def _offers(platform: Platform) -> dict[str, Offer]:
    try:
        offers = [tools.skill_offer(row) for row in await platform.rows("skills")]
        offers += [tools.workflow_offer(row) for row in await platform.rows("workflow_definitions")]
    except Refused as error:
        raise MCPError(INVALID_PARAMS, str(error)) from error
    return {offer.tool.name: offer for offer in offers if offer is not None}


async def _call(platform: Platform, context: Request, offer: Offer, arguments: dict[str, Any]) -> CallToolResult:
    told: tuple[int, str] | None = None

    async def seen(run: dict[str, Any]) -> None:
        nonlocal told
        if told != (run["steps_done"], run["status"]):
            told = run["steps_done"], run["status"]
            await context.session.report_progress(run["steps_done"], run["steps_total"], run["status"])

    try:
        run = await platform.begin(offer.command, {**offer.data, "input": tools.input_of(offer, arguments)})
        ended = await platform.ended(run, seen)
        return await _result(platform, offer, ended)
    except Refused as error:
        return tools.failure(str(error))


async def _result(platform: Platform, offer: Offer, run: dict[str, Any]) -> CallToolResult:
    """Raises Refused."""
    if run["status"] != "completed":
        return tools.failure_of(run)
    try:
        return tools.result_of(run, await platform.output(run))
    except TooLarge as error:
        return tools.elsewhere(offer, run, error.size)


async def _read(platform: Platform, uri: str) -> ReadResourceResult:
    try:
        path, query = resources.path_of(uri)
    except ValueError as error:
        raise MCPError(INVALID_PARAMS, str(error)) from error
    text = json.dumps(await _asked(platform, path, **query), ensure_ascii=False)
    return ReadResourceResult(contents=[TextResourceContents(uri=uri, mime_type="application/json", text=text)])


async def _asked(platform: Platform, path: str, **query: str) -> Any:
    try:
        return await platform.get(path, **query)
    except Refused as error:
        raise MCPError(INVALID_PARAMS, str(error)) from error
