"""Rules that start workflows and invoke skills and agents, whatever sets them off."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from domain import workflow
from domain.event_trigger import origin_of
from eventstore.envelope import StreamId
from tests.records.automations.platform import Automating
from tests.records.automations.test_events import foreign, names, on, register
from tests.records.automations.test_runner import watching

SORTER = {"specification": {"version": "1", "input": {"type": "object", "required": ["prompt"]}}}
REVIEW = {"definition": {"steps": {"sort": {"skill": "sorter"}}}}


async def offer(automating: Automating) -> None:
    """A skill `sorter`, and a workflow `review`."""
    await automating.command("skill.register", "sorter", SORTER)
    await automating.command("workflow_definition.publish", "review", REVIEW)


async def runs(automating: Automating) -> dict[str, workflow.Started]:
    """By id."""
    page = await automating.core.store.read(category="workflow")
    return {event.stream.id: automating.core.store.decode(event) for event in page if event.type == "workflow.started"}


async def test_a_file_is_given_to_an_agent(automating: Automating, tmp_path: Path) -> None:
    """The rule as the requirements write it; the agent is a skill here, and a workflow there."""
    await offer(automating)
    (tmp_path / "a.pdf").write_text("x")
    prompt = {"type": "invoke_agent", "prompt_template": "Analyze this document: {file}"}
    agents = [{**prompt, "agent": "@sorter"}, {**prompt, "agent": "@review", "input": {"name": "${name}"}}]
    await automating.command("automation.register", "scan", watching(tmp_path, *agents))
    async with automating.running():
        await automating.has_fired("scan")
    [fired] = await automating.fired("scan")
    started = await runs(automating)
    assert [(each.action, each.outcome, each.reason) for each in fired.carried] == [("invoke_agent", "done", "")] * 2
    alone, review = (started[each.reference] for each in fired.carried)
    assert alone.input.inline == {"prompt": f"Analyze this document: {tmp_path}/a.pdf"}
    assert [step.skill for step in alone.steps.values()] == ["sorter"]
    assert (review.definition, review.version) == ("review", 1)
    assert review.input.inline == {"name": "a.pdf", "prompt": f"Analyze this document: {tmp_path}/a.pdf"}


async def test_an_event_starts_a_workflow_and_a_skill_at_once(automating: Automating) -> None:
    """In the event's conversation, as the automation; the results stand together, in the order of the actions."""
    await offer(automating)
    start = {"type": "start_workflow", "definition": "review", "version": 1, "input": "${event.data}"}
    invoke = {"type": "invoke_skill", "skill": "sorter", "input": {"prompt": "${event.data.order}"}}
    rule = on("payment.failed", actions=[start, invoke, register("order {order}")])
    await automating.command("automation.register", "dun", {**rule, "parallel": True})
    async with automating.running():
        await foreign(automating, "1", "payment.failed", {"order": 7}, correlationid="order-7")
        await automating.has_fired("dun")
    [fired] = await automating.fired("dun")
    assert [(each.action, each.outcome) for each in fired.carried] == [
        ("start_workflow", "done"),
        ("invoke_skill", "done"),
        ("give_command", "done"),
    ]
    started = await runs(automating)
    review, alone = (started[each.reference] for each in fired.carried[:2])
    assert (review.input.inline, alone.input.inline) == ({"order": 7}, {"prompt": 7})
    event = (await automating.core.store.load(StreamId("workflow", fired.carried[0].reference)))[0].envelope
    assert (event.actor, event.correlationid) == ("automation:dun", origin_of("order-7").further("dun"))


@pytest.mark.parametrize("killed", [False, True])
async def test_a_run_is_started_once(automating: Automating, killed: bool) -> None:
    """Also if the worker dies before it is on the record that it was."""
    await offer(automating)
    start = {"type": "start_workflow", "definition": "review", "input": {"order": "${event.data.order}"}}
    await automating.command("automation.register", "dun", on("payment.failed", actions=[start]))
    reached = asyncio.Event()

    async def never(*_: object) -> str | None:
        reached.set()
        await asyncio.Event().wait()

    await foreign(automating, "1", "payment.failed", {"order": 7})
    if killed:
        async with automating.running(never):
            await asyncio.wait_for(reached.wait(), 20)
        assert len(await runs(automating)) == 1
    async with automating.running(), automating.running():
        await automating.has_fired("dun")
    assert len(await runs(automating)) == 1


async def test_what_is_not_there_or_does_not_fit_is_said(automating: Automating) -> None:
    await offer(automating)
    refused: list[dict[str, Any]] = [
        {"type": "start_workflow", "definition": "nothing"},
        {"type": "start_workflow", "definition": "review", "version": 9},
        {"type": "invoke_skill", "skill": "nothing"},
        {"type": "invoke_skill", "skill": "sorter", "input": {"text": "no prompt"}},
        {"type": "invoke_skill", "skill": "sorter", "input": "${length(event.data.missing)}"},
        {"type": "invoke_agent", "agent": "@nobody", "prompt_template": "x"},
    ]
    await automating.command("automation.register", "dun", on("payment.failed", actions=[*refused, register("ok")]))
    async with automating.running():
        await foreign(automating, "1", "payment.failed", {"order": 7})
        await automating.has_fired("dun")
    [fired] = await automating.fired("dun")
    *failed, done = fired.carried
    assert [each.outcome for each in failed] == ["failed"] * len(refused)
    said = [each.reason for each in failed]
    assert said[0] == "workflow_definition_not_found: there is no workflow definition nothing"
    assert said[1] == "version_not_found: review has no version 9"
    assert said[2] == "skill_not_found: there is no skill nothing"
    assert said[3].startswith("input_invalid: ")
    assert said[4].startswith("length(event.data.missing): ")
    assert said[5] == "there is no agent @nobody: neither a skill nor a workflow is called so"
    assert (done.outcome, await names(automating)) == ("done", ["ok"])
    assert await runs(automating) == {}


async def test_actions_of_a_parallel_rule_go_on_together(automating: Automating, tmp_path: Path) -> None:
    """Each alert waits for the other one: one after the other they would wait for ever."""
    waiting: list[str] = []
    together = asyncio.Event()

    async def meet(url: str, text: str) -> bool:
        waiting.append(text)
        if len(waiting) == 2:
            together.set()
        await together.wait()
        return text != "b"

    automating.notify = meet
    (tmp_path / "a").write_text("x")
    alerts = [{"type": "send_alert", "apprise": "ALERTS", "text": text} for text in ("a", "b")]
    rule = {**watching(tmp_path, *alerts), "parallel": True}
    await automating.command("automation.register", "tell", rule)
    async with automating.running():
        await automating.has_fired("tell")
    [fired] = await automating.fired("tell")
    assert [each.outcome for each in fired.carried] == ["done", "failed"]
