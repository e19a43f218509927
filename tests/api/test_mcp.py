"""The MCP server in front of a running platform, spoken to by the client of the official SDK."""

import json
import sys
from contextlib import asynccontextmanager

import httpx
import pytest
from mcp import Client, MCPError, StdioServerParameters

from api.mcp.platform import Platform
from api.mcp.server import mcp_server
from api.mcp.tools import HARMLESS, Choice, skill_offer

WORDS = "Alpha is first. Beta comes after alpha and before gamma. Gamma is third. Delta is last of all."
FLOW = {
    "description": "Sums a text up, twice",
    "input": {"type": "object", "required": ["text"], "properties": {"text": {"type": "string"}}},
    "steps": {
        "first": {"skill": "summarise", "input": {"text": "${input.text}"}},
        "second": {"skill": "summarise", "input": {"text": "${steps.first.output.summary}"}, "needs": ["first"]},
    },
}


def publish(http):
    wanted = {"type": "workflow_definition.publish", "data": {"definition": FLOW}}
    http.post("/api/v1/commands", json={**wanted, "stream": {"id": "twice"}}).raise_for_status()


def as_a_process(platform, *flags):
    arguments = ["-m", "sagacity", "mcp", "--url", platform.url, "--actor", "model", *flags]
    return Client(StdioServerParameters(command=sys.executable, args=arguments))


@asynccontextmanager
async def within_this_process(platform, choice=HARMLESS):
    async with (
        httpx.AsyncClient(base_url=platform.url) as api,
        Client(mcp_server(Platform(api), "1", choice)) as client,
    ):
        yield client


async def test_skills_and_workflows_are_tools_and_every_call_is_on_the_record(platform, http):
    publish(http)
    async with as_a_process(platform, "--tool", "workflow.twice", "--tool", "roll_back") as client:
        tools = {tool.name: tool for tool in (await client.list_tools()).tools}
        assert tools["roll_back"].annotations.read_only_hint is False
        assert "deploy" not in tools
        assert tools["summarise"].input_schema["type"] == "object"
        assert tools["summarise"].input_schema["required"] == ["text"]
        assert tools["summarise"].annotations.read_only_hint
        assert tools["workflow.twice"].description == "Sums a text up, twice"

        told = []

        async def progressed(progress, total, message):
            told.append((progress, total, message))

        result = await client.call_tool("workflow.twice", {"text": WORDS}, progress_callback=progressed)
        assert not result.is_error
        assert json.loads(result.content[0].text) == result.structured_content
        assert {total for _, total, _ in told} <= {2}

        run = http.get(f"/api/v1/workflows/{result.meta['run']}").json()
        assert (run["status"], run["definition"], run["actor"]) == ("completed", "twice", "model")


async def test_what_may_have_effects_is_offered_only_where_it_is_named_or_everything_is(platform, http):
    publish(http)
    with_effects = {"deploy", "roll_back", "retrain", "give_command", "workflow.twice"}
    async with within_this_process(platform) as client:
        offered = (await client.list_tools()).tools
        assert {"summarise", "deployment_ended"} <= {tool.name for tool in offered}
        assert not with_effects & {tool.name for tool in offered}
        assert all(tool.annotations.read_only_hint for tool in offered)
        for name in ("give_command", "workflow.twice"):
            with pytest.raises(MCPError, match=f"{name} may have effects: it is offered with --tool {name}"):
                await client.call_tool(name, {"text": WORDS})

    async with within_this_process(platform, Choice(frozenset({"deploy"}))) as client:
        assert with_effects & {tool.name for tool in (await client.list_tools()).tools} == {"deploy"}
    async with within_this_process(platform, Choice(everything=True)) as client:
        assert with_effects <= {tool.name for tool in (await client.list_tools()).tools}


def test_a_skill_has_effects_as_long_as_one_of_its_offered_versions_has():
    def version(share, effects):
        return {"share": share, "retired": False, "specification": {"effects": effects}}

    row = {"id": "s", "versions": {"1": version(0.9, False), "2": version(0.1, True)}}
    assert skill_offer(row).effects
    assert not HARMLESS.has(skill_offer(row))
    row["versions"]["2"]["share"] = 0
    assert HARMLESS.has(skill_offer(row))


async def test_what_cannot_be_done_is_an_error_of_the_tool_with_its_reason(platform):
    async with within_this_process(platform) as client:
        refused = await client.call_tool("summarise", {"nonsense": 1})
        assert refused.is_error
        assert "'text' is a required property" in refused.content[0].text

        with pytest.raises(MCPError, match="there is no tool nothing"):
            await client.call_tool("nothing", {})


async def test_read_models_and_the_audit_trail_are_resources(platform):
    async with within_this_process(platform) as client:
        listed = {resource.uri for resource in (await client.list_resources()).resources}
        assert {"sagacity:///workflows", "sagacity:///deployments", "sagacity:///events"} <= listed

        run = (await client.call_tool("summarise", {"text": WORDS})).meta["run"]
        row = json.loads((await client.read_resource(f"sagacity:///workflows/{run}")).contents[0].text)
        assert row["id"] == run
        history = json.loads((await client.read_resource(f"sagacity:///workflows/{run}/events")).contents[0].text)
        assert history["items"][0]["type"] == "workflow.started"
        trail = await client.read_resource("sagacity:///events?limit=1&type=workflow.started")
        assert len(json.loads(trail.contents[0].text)["items"]) == 1

        with pytest.raises(MCPError, match="is no resource of this server"):
            await client.read_resource("sagacity:///commands/../../health")
        with pytest.raises(MCPError, match="nothing called"):
            await client.read_resource("sagacity:///workflows/none")
