"""The MCP server in front of a running platform, spoken to by the client of the official SDK."""

import asyncio
import hashlib
import json
import signal
import sys
from contextlib import AsyncExitStack, asynccontextmanager

import httpx
import pytest
from mcp import Client, MCPError, StdioServerParameters

from api.mcp.platform import Platform
from api.mcp.server import mcp_server
from api.mcp.tools import HARMLESS, Choice, skill_offer
from sagacity.embedded.directory import free_port
from tests.skills.mcp_elsewhere import Elsewhere

WORDS = "Alpha is first. Beta comes after alpha and before gamma. Gamma is third. Delta is last of all."
SENT = "2026-11-20T16:05:11Z"
FLOW = {
    "description": "Sums a text up, twice",
    "input": {"type": "object", "required": ["text"], "properties": {"text": {"type": "string"}}},
    "steps": {
        "first": {"skill": "summarise", "input": {"text": "${input.text}"}},
        "second": {"skill": "summarise", "input": {"text": "${steps.first.output.summary}"}, "needs": ["first"]},
    },
}


def command(http, type, stream, **data):
    body = {"type": type, "data": data, "stream": {"id": stream}}
    http.post("/api/v1/commands", json=body).raise_for_status()


def publish(http):
    command(http, "workflow_definition.publish", "twice", definition=FLOW)


async def ended(http, run):
    async with asyncio.timeout(30):
        while True:
            answer = http.get(f"/api/v1/workflows/{run}")
            if answer.status_code == 200 and answer.json()["status"] not in ("running", "waiting"):
                return answer.json()
            await asyncio.sleep(0.05)


@asynccontextmanager
async def sagacity(*arguments, says):
    """The command in a process of its own, once it has said that it is ready; then it is interrupted."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "sagacity", *arguments), stdout=asyncio.subprocess.PIPE
    )
    try:
        async with asyncio.timeout(30):
            while says not in (line := (await process.stdout.readline()).decode()):
                assert line, "it has ended"
        yield
        process.send_signal(signal.SIGINT)
        async with asyncio.timeout(30):
            await process.communicate()
        assert process.returncode == 0
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


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


async def test_messages_are_taken_in_by_a_tool_and_read_in_the_one_form_of_all_platforms(platform, http):
    command(http, "source.register", "talk", platform="http", name="Talk", follow_up={"enabled": False})
    message = {"platform": "http", "source": "talk", "external_id": "1", "sender": {"id": "ann"}, "text": "hello"}
    record = f"talk-{hashlib.sha256(b'1').hexdigest()[:24]}"
    given = {"type": "record.receive", "stream_id": record, "data": {"message": {**message, "sent_at": SENT}}}
    async with within_this_process(platform, Choice(frozenset({"give_command"}))) as client:
        assert not (await client.call_tool("give_command", given)).is_error
        read = await client.read_resource(f"sagacity:///records/{record}/events?limit=1")
        [received] = json.loads(read.contents[0].text)["items"]
        assert received["type"] == "record.received"
        assert received["data"]["message"]["text"] == "hello"


async def test_over_http_a_client_goes_on_after_a_restart_and_another_name_of_the_host_is_refused(platform):
    port = free_port()
    url = f"http://127.0.0.1:{port}/mcp"
    ours = ("mcp", "--port", str(port), "--url", platform.url)
    async with AsyncExitStack() as stack:
        async with sagacity(*ours, says="/mcp in front of"):
            client = await stack.enter_async_context(Client(url))
            assert "summarise" in {tool.name for tool in (await client.list_tools()).tools}
            assert not (await client.call_tool("summarise", {"text": WORDS})).is_error
            async with httpx.AsyncClient() as browser:
                named = {"Host": "elsewhere.example"}
                assert (await browser.post(url, headers=named, json={})).status_code == 421
        async with sagacity(*ours, says="/mcp in front of"):
            assert (await client.call_tool("summarise", {"text": WORDS})).structured_content["of"] == 4


async def test_tools_of_another_server_are_skills_of_a_worker_and_each_call_is_made_once_though_that_is_restarted(
    platform, http
):
    """Given a worker with the tools of a server, when that is restarted, then a run that begins meanwhile waits."""
    elsewhere, runs = Elsewhere(sessions=True), [f"noted-{number}" for number in range(3)]
    server = f"http://127.0.0.1:{elsewhere.port}/mcp"
    worker = ("worker", "--mcp", server, "--prefix", "their_", "--data", str(platform.home))
    async with AsyncExitStack() as stack:
        async with elsewhere.running():
            await stack.enter_async_context(sagacity(*worker, says="takes calls"))
            command(http, "workflow.invoke", runs[0], skill="their_note", input={})
            assert (await ended(http, runs[0]))["status"] == "completed"
            assert http.get(f"/api/v1/workflows/{runs[0]}/output").json() == {"text": "noted"}
        command(http, "workflow.invoke", runs[1], skill="their_note", input={})
        async with elsewhere.running():
            command(http, "workflow.invoke", runs[2], skill="their_note", input={})
            for run in runs[1:]:
                assert (await ended(http, run))["status"] == "completed", http.get(
                    f"/api/v1/invocations?run={run}"
                ).text
    assert len(elsewhere.calls) == len(set(elsewhere.calls)) == 3


async def test_a_large_output_is_given_whole_and_one_that_is_too_large_by_its_place(platform, http):
    """256 KB is what is kept on the record itself; more than 4 MB is not sent unasked."""
    copies = {f"copy_{number}": "${input.text}" for number in range(10)}
    for name, output in (("large", {"text": "${input.text}"}), ("too_large", copies)):
        steps = {"first": {"skill": "summarise", "input": {"text": WORDS}}}
        command(http, "workflow_definition.publish", name, definition={"steps": steps, "output": output})
    text = "a word " * 70_000
    async with within_this_process(platform, Choice(everything=True)) as client:
        large = await client.call_tool("workflow.large", {"text": text})
        assert large.structured_content == {"text": text}
        assert len(large.content[0].text) < len(text)

        told = await client.call_tool("workflow.too_large", {"text": text})
        place = f"sagacity:///workflows/{told.meta['run']}/output"
        assert not told.is_error
        assert told.content[0].text.endswith(place)
        whole = await client.read_resource(place)
        assert json.loads(whole.contents[0].text)["copy_9"] == text
