"""Tools of an MCP server are skills like any other."""

import asyncio
import sys
from pathlib import Path

import pytest
import pytest_asyncio

from skills.mcp_tools import mcp_server
from skills.skill import SkillFailed
from tests.skills.asking import context
from tests.skills.mcp_elsewhere import Elsewhere

SERVER = f"{sys.executable} {Path(__file__).with_name('mcp_tools_server.py')}"


@pytest.fixture(autouse=True)
def short(monkeypatch):
    """Nobody else connects to these servers."""
    monkeypatch.setattr("skills.mcp_connection._PAUSE", 0.05)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def skills():
    async with mcp_server(SERVER) as server:
        yield {skill.name: skill for skill in await server.skills("their_")}


async def failure_of(skill, call, **given):
    with pytest.raises(SkillFailed) as failed:
        await skill.function(given, context(call))
    return failed.value


async def until(condition):
    async with asyncio.timeout(20):
        while not condition():
            await asyncio.sleep(0.01)


@pytest.mark.asyncio(loop_scope="module")
async def test_a_tool_is_a_skill_with_its_schemas_and_its_answer(skills):
    add = skills["their_add"]
    assert add.specification.description == "Add two numbers."
    assert add.specification.input["required"] == ["a", "b"]
    assert await add.function({"a": 1, "b": 2}, context("call-1")) == {"result": 3}
    assert await skills["their_say_it"].function({"text": "so"}, context("call-2")) == {"result": "so"}

    failed = await failure_of(skills["their_fail"], "call-3", reason="out of paper")
    assert "out of paper" in failed.reason
    assert not failed.retryable


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize(
    ("name", "effects", "attempts"), [("their_look", False, 4), ("their_die_once", True, 4), ("their_die", True, 1)]
)
async def test_a_tool_that_might_do_it_twice_has_one_attempt(skills, name, effects, attempts):
    specification = skills[name].specification
    assert (specification.effects, specification.retry.attempts) == (effects, attempts)


@pytest.mark.asyncio(loop_scope="module")
async def test_an_error_of_the_protocol_is_the_failure_of_that_call_alone(skills, tmp_path):
    """Given a call that takes its time, when others beside it are refused, then it is finished all the same."""
    began, end = tmp_path / "began", tmp_path / "end"
    given = {"began": str(began), "end": str(end)}
    beside = asyncio.create_task(skills["their_wait_for"].function(given, context("call-1")))
    await until(began.exists)
    failed = await failure_of(skills["their_refuse"], "call-2", reason="not here")
    assert "not here" in failed.reason
    assert not failed.retryable
    end.touch()
    assert await beside == {"result": "there it is"}


async def test_a_call_whose_answer_is_lost_is_tried_again_only_if_the_tool_says_that_this_does_no_harm(tmp_path):
    """Given a server that dies after its effect, then the call has failed for good, and the next one waits until the
    server is there again; but what is idempotent may be tried again, and then there is one effect."""
    file = tmp_path / "effects"
    async with mcp_server(SERVER) as server:
        skills = {skill.name: skill for skill in await server.skills()}
        failed = await failure_of(skills["die"], "call-1", file=str(file))
        assert "it may have been done" in failed.reason
        assert not failed.retryable
        assert await skills["look"].function({}, context("call-2")) == {"result": "seen"}
        assert file.read_text() == "done\n"

        file.unlink()
        assert (await failure_of(skills["die_once"], "call-3", file=str(file))).retryable
        assert await skills["die_once"].function({"file": str(file)}, context("call-3")) == {"result": "done before"}
        assert file.read_text() == "done\n"


@pytest.mark.parametrize("sessions", [True, False])
async def test_after_a_restart_of_the_server_its_tools_are_there_again(sessions):
    """Even those with effects: what was never sent, or belonged to a session that is gone, was not done. `note` does
    not say that it may be repeated, and each call is begun once."""
    elsewhere = Elsewhere(sessions)
    async with mcp_server(f"http://127.0.0.1:{elsewhere.port}/mcp") as server:
        async with elsewhere.running():
            [note] = await server.skills()
            assert await note.function({}, context("call-1")) == {"text": "noted"}
        waiting = asyncio.create_task(note.function({}, context("call-2")))
        async with elsewhere.running():
            assert await waiting == {"text": "noted"}
            assert await note.function({}, context("call-3")) == {"text": "noted"}
        async with elsewhere.running():
            assert await note.function({}, context("call-4")) == {"text": "noted"}
    assert elsewhere.calls == ["call-1", "call-2", "call-3", "call-4"]


async def test_a_server_that_stays_away_is_a_failure_that_may_pass(monkeypatch):
    monkeypatch.setattr("skills.mcp_http._PAUSES", (0.05,))
    elsewhere = Elsewhere(sessions=False)
    async with mcp_server(f"http://127.0.0.1:{elsewhere.port}/mcp") as server:
        async with elsewhere.running():
            [note] = await server.skills()
        failed = await failure_of(note, "call-1")
    assert failed.reason == "the MCP server cannot be reached"
    assert failed.retryable


async def test_a_server_that_never_was_there_is_a_failure_that_may_pass(monkeypatch):
    monkeypatch.setattr("skills.mcp_tools._PATIENCE", 0.2)
    async with mcp_server("http://127.0.0.1:9/mcp") as server:
        with pytest.raises(SkillFailed, match="cannot be reached") as failed:
            await server.skills()
        assert failed.value.retryable
