"""Rules as people see them: whether they are carried out, how often, and what became of each action."""

from __future__ import annotations

import pytest

from domain.automation import Carried, Fire, Recover, Stumble
from handlers.command import Caller, Directive
from projections.automations import automations
from tests.projections.platform import projecting

RULE = {
    "name": "Scans",
    "trigger": {"type": "file_watcher", "path": "/in"},
    "actions": [{"type": "process_document", "source": "scans"}],
}
OTHER = {**RULE, "trigger": {"type": "file_watcher", "path": "/out"}}
DONE = Carried("process_document", "done", "r-1")
FAILED = Carried("send_alert", "failed", "", "nobody took it")


async def fire(platform, id, occurrence, *carried):
    directive = Directive(
        id=f"fire-{occurrence}", category="automation", stream_id=id, command=Fire(occurrence, "/in/a", carried, "7")
    )
    [outcome] = await platform.handler.direct([directive], Caller(actor="worker"))
    assert outcome.outcome == "accepted"


@pytest.mark.parametrize(
    ("commands", "status"),
    [
        ([("register", RULE)], ("active", None)),
        ([("register", RULE), ("pause", {"reason": "dirt"})], ("paused", "dirt")),
        ([("register", RULE), ("pause", {"reason": "dirt"}), ("register", OTHER)], ("paused", "dirt")),
        ([("register", RULE), ("pause", {}), ("resume", {})], ("active", None)),
        ([("register", RULE), ("pause", {}), ("remove", {})], ("removed", None)),
        ([("register", RULE), ("pause", {}), ("remove", {}), ("register", RULE)], ("active", None)),
    ],
    ids=lambda each: " ".join(name for name, _ in each) if isinstance(each, list) else None,
)
async def test_the_status_is_the_one_that_the_rule_has(own_nats, database_url, commands, status):
    await own_nats.ready()
    async with projecting(own_nats.url, database_url, [automations]) as platform:
        for name, data in commands:
            outcome = await platform.command(f"automation.{name}", "scans", data)
            assert outcome.outcome == "accepted"
        async with platform.running():
            await platform.caught_up("automations")
            row = await platform.models.row("automations", "scans")
        assert (row.status, row.reason) == status


async def test_what_it_did_is_counted_and_told(own_nats, database_url):
    """Also of a rule that is replaced."""
    await own_nats.ready()
    async with projecting(own_nats.url, database_url, [automations]) as platform:
        await platform.command("automation.register", "scans", RULE)
        await fire(platform, "scans", "1", DONE, FAILED)
        await fire(platform, "scans", "2", DONE)
        await platform.command("automation.register", "scans", OTHER)
        async with platform.running():
            await platform.caught_up("automations")
            row = await platform.models.row("automations", "scans")
            failed = (await platform.models.rows("automations", table="firings", filters={"failed": "true"})).items
        assert (row.fired, row.failed, row.last_occurrence, row.trigger.path) == (2, 1, "/in/a", "/out")
        assert [(each.automation_id, each.occurrence, each.carried) for each in failed] == [
            ("scans", "1", [DONE, FAILED])
        ]


async def test_what_keeps_a_rule_from_being_carried_out_is_shown_until_it_is_over(own_nats, database_url):
    await own_nats.ready()
    async with projecting(own_nats.url, database_url, [automations]) as platform:

        async def say(id, command):
            directive = Directive(
                id=f"{id}-{type(command).__name__}", category="automation", stream_id=id, command=command
            )
            [outcome] = await platform.handler.direct([directive], Caller(actor="worker"))
            assert outcome.outcome == "accepted"

        for id in ("stuck", "well", "paused"):
            await platform.command("automation.register", id, {**RULE, "parallel": True})
            await say(id, Stumble("no such directory"))
        await say("well", Recover())
        await platform.command("automation.pause", "paused")
        async with platform.running():
            await platform.caught_up("automations")
            rows = [await platform.models.row("automations", id) for id in ("stuck", "well", "paused")]
        assert [row.trouble for row in rows] == ["no such directory", None, None]
        assert all(row.parallel for row in rows)
