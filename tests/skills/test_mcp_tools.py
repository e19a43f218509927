"""Tools of an MCP server are skills like any other."""

import sys
from pathlib import Path

import pytest

from skills.mcp_tools import mcp_server
from skills.skill import SkillFailed
from tests.skills.asking import context

SERVER = f"{sys.executable} {Path(__file__).with_name('mcp_tools_server.py')}"


async def test_a_tool_is_a_skill_with_its_schemas_and_its_answer():
    async with mcp_server(SERVER) as server:
        skills = {skill.name: skill for skill in await server.skills("their_")}
        assert set(skills) == {"their_add", "their_fail", "their_say_it"}
        add = skills["their_add"]
        assert add.specification.description == "Add two numbers."
        assert add.specification.input["required"] == ["a", "b"]
        assert await add.function({"a": 1, "b": 2}, context("call-1")) == {"result": 3}
        assert await skills["their_say_it"].function({"text": "so"}, context("call-2")) == {"result": "so"}

        with pytest.raises(SkillFailed, match="out of paper") as failed:
            await skills["their_fail"].function({"reason": "out of paper"}, context("call-3"))
        assert not failed.value.retryable


async def test_a_server_that_is_away_is_a_failure_that_may_pass(monkeypatch):
    monkeypatch.setattr("skills.mcp_tools._PATIENCE", 0.2)
    async with mcp_server("http://127.0.0.1:9/mcp") as server:
        with pytest.raises(SkillFailed, match="cannot be reached") as failed:
            await server.skills()
        assert failed.value.retryable
