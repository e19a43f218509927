"""What only who carries a rule out can tell to be wrong with it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from domain.automation import (
    Action,
    DatabasePoller,
    FileWatcher,
    GiveCommand,
    InvokeAgent,
    InvokeSkill,
    ProcessDocument,
    Register,
    Scheduler,
    SendAlert,
    StartWorkflow,
    Trigger,
)
from domain.event_trigger import EventTrigger, StateOf
from records.automations.faults import automation_faults

ALERT = (SendAlert("ALERTS", "{time}"),)


@pytest.mark.parametrize(
    "trigger",
    [
        Scheduler("*/15 8-17 * * 1-5", "America/New_York"),
        Scheduler("0 0 29 2 *"),
        Scheduler(at=datetime.now(UTC) + timedelta(days=1)),
        Scheduler(every="15m"),
        Scheduler(every=31_536_000),
        DatabasePoller("URL", "SELECT * FROM t WHERE id > nullif($1::text, '')::int ORDER BY id", "id"),
        FileWatcher("/in", "*.pdf"),
        EventTrigger(("payment.failed", "deployment.*", "*")),
        EventTrigger(("*.failed",), category="deployment", where="length(event.data.reason) > `3`"),
        EventTrigger(("x",), "ci", "inbound", "state.a.name", {"a": StateOf("organization", "${event.data.id}")}),
    ],
)
def test_a_rule_that_can_be_carried_out_has_none(trigger: Trigger) -> None:
    assert automation_faults(Register(trigger, ALERT)) == []


def test_all_are_named_at_once() -> None:
    command = Register(Scheduler("61 * * * *", "Europe/Graz"), (*ALERT, ProcessDocument("scans")))
    zone, cron, action = automation_faults(command)
    assert zone == "time_zone: there is no 'Europe/Graz'"
    assert cron.startswith("cron: '61 * * * *': ")
    assert action == "process_document: a moment is no document"


def test_all_of_moments_are_named_at_once() -> None:
    wrong = Scheduler("61 * * * *", at=datetime(2026, 11, 1, 8, tzinfo=UTC), every="9999d")
    several, cron, at, every, action = automation_faults(Register(wrong, (*ALERT, ProcessDocument("scans"))))
    assert several.startswith("trigger: ")
    assert cron.startswith("cron: ")
    assert at.startswith("at: ")
    assert every.startswith("every: ")
    assert action.startswith("process_document: ")


@pytest.mark.parametrize(
    ("trigger", "says"),
    [
        (Scheduler("0 0 30 2 *"), "cron: '0 0 30 2 *': "),
        (Scheduler("0 * * * * *"), "cron: '0 * * * * *' must have 5 fields"),
        (Scheduler("@reboot!!"), "cron: '@reboot!!' must have 5 fields"),
        (Scheduler("0 2 * * *", "../../etc/passwd"), "time_zone: there is no '../../etc/passwd'"),
        (Scheduler("0 2 * * *", ""), "time_zone: there is no ''"),
        (Scheduler(), "trigger: it must have one of cron, at and every; it has none"),
        (Scheduler("0 2 * * *", every=60), "trigger: it must have one of cron, at and every; it has cron and every"),
        (Scheduler(at=datetime(2026, 11, 1, 8, tzinfo=UTC)), "at: 2026-11-01T08:00:00+00:00 is in the past"),
        (Scheduler(every="366d"), "every: 366d is longer than a year of 365 days"),
        (Scheduler(every="15m", time_zone="Europe/Berlin"), "time_zone: only cron goes by it"),
        (DatabasePoller("URL", "SELECT * FROM orders", "id"), "query: must have the one parameter $1"),
        (DatabasePoller("URL", "SELECT * FROM orders WHERE a > $1 AND b > $2", "id"), "query: must have the one"),
        (FileWatcher("/in", "post/*.pdf"), "pattern: is of names, not of paths"),
        (EventTrigger(("automation.fired",)), "types: automation.fired sets nothing off"),
        (EventTrigger(("command.*",)), "types: command.* sets nothing off"),
        (EventTrigger(("inbound.received",)), "types: an event of another system goes by its own type"),
        (EventTrigger(("*",), category="command"), "category: what happens to each command sets nothing off"),
        (EventTrigger(("*",), category="paymnt"), "category: there is no 'paymnt'; known: "),
        (
            EventTrigger(("*.faild",), category="deployment"),
            "types: no event of the category deployment is like *.faild",
        ),
        (EventTrigger(("*",), where="event.data["), "where: "),
        (EventTrigger(("*",), where="size(event.data)"), "where: there is no function size"),
        (EventTrigger(("*",), where="state.a.name"), "where: there is no 'state' here; known: event"),
        (EventTrigger(("*",), where="amount > `7`"), "where: there is no 'amount' here; known: event"),
        (EventTrigger(("*",), state={"a": StateOf("stack", "${event.data")}), "state a: there is no } to the ${"),
        (EventTrigger(("*",), state={"a": StateOf("stack", "${state.b.id}")}), "state a: ${state.b.id}: there is no"),
        (EventTrigger(("*",), state={"a": StateOf("stacks", "x")}), "state a: there is no category 'stacks'"),
    ],
)
def test_a_fault_says_what_to_mend(trigger: Trigger, says: str) -> None:
    [fault] = automation_faults(Register(trigger, ALERT))
    assert fault.startswith(says)


@pytest.mark.parametrize(
    ("trigger", "action", "says"),
    [
        (
            FileWatcher("/in"),
            StartWorkflow("review", input=["${row.id}"]),
            "start_workflow: ${row.id}: there is no 'row'",
        ),
        (FileWatcher("/in"), InvokeSkill("sort", input={"a": "${file"}), "invoke_skill: there is no } to the ${"),
        (
            Scheduler("0 2 * * *"),
            InvokeAgent("@sort", "at ${upper(time)}"),
            "invoke_agent: ${upper(time)}: there is no",
        ),
        (
            EventTrigger(("*",)),
            SendAlert("ALERTS", "${evnt.type}"),
            "send_alert: ${evnt.type}: there is no 'evnt' here",
        ),
        (EventTrigger(("*",)), GiveCommand("a.b", "${event..id}"), "give_command: "),
    ],
)
def test_a_fault_of_a_template_says_what_to_mend(trigger: Trigger, action: Action, says: str) -> None:
    [fault] = automation_faults(Register(trigger, (action,)))
    assert fault.startswith(says)


def test_what_older_rules_mean_by_a_dollar_is_left_alone() -> None:
    """Only where an event occurs are there expressions in alerts and commands."""
    assert automation_faults(Register(FileWatcher("/in"), (SendAlert("ALERTS", "it costs ${name"),))) == []


START = StartWorkflow("tidy-up")


@pytest.mark.parametrize(
    "types", [("workflow.completed",), ("workflow.*",), ("*",), ("payment.failed", "work*.failed")]
)
@pytest.mark.parametrize(
    "action",
    [START, InvokeSkill("tidy"), InvokeAgent("@tidy"), GiveCommand("workflow.start", data={"definition": "x"})],
)
def test_a_rule_that_starts_runs_on_what_happens_to_any_run_is_circular(types: tuple[str, ...], action: Action) -> None:
    [fault] = automation_faults(Register(EventTrigger(types), (action,)))
    assert "would set the rule off again" in fault
    assert "where" in fault


@pytest.mark.parametrize(
    ("trigger", "action"),
    [
        (EventTrigger(("workflow.started",), where="event.data.definition == 'release'"), START),
        (EventTrigger(("workflow.completed",), category="inbound"), START),
        (EventTrigger(("workflow.completed",), source="billing"), START),
        (EventTrigger(("workflow_definition.*",)), START),
        (EventTrigger(("payment.failed",)), START),
        (EventTrigger(("workflow.*",)), ALERT[0]),
        (EventTrigger(("workflow.*",)), GiveCommand("organization.register", data={"name": "x"})),
        (Scheduler("0 0 29 2 *"), START),
    ],
)
def test_one_that_can_tell_its_own_runs_from_others_is_not(trigger: Trigger, action: Action) -> None:
    assert automation_faults(Register(trigger, (action,))) == []
