"""What only who carries a rule out can tell to be wrong with it."""

from __future__ import annotations

import pytest

from domain.automation import DatabasePoller, FileWatcher, ProcessDocument, Register, Scheduler, SendAlert, Trigger
from records.automations.faults import automation_faults

ALERT = (SendAlert("ALERTS", "{time}"),)


@pytest.mark.parametrize(
    "trigger",
    [
        Scheduler("*/15 8-17 * * 1-5", "America/New_York"),
        Scheduler("0 0 29 2 *"),
        DatabasePoller("URL", "SELECT * FROM t WHERE id > nullif($1::text, '')::int ORDER BY id", "id"),
        FileWatcher("/in", "*.pdf"),
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


@pytest.mark.parametrize(
    ("trigger", "says"),
    [
        (Scheduler("0 0 30 2 *"), "cron: '0 0 30 2 *': "),
        (Scheduler("0 * * * * *"), "cron: '0 * * * * *' must have 5 fields"),
        (Scheduler("@reboot!!"), "cron: '@reboot!!' must have 5 fields"),
        (Scheduler("0 2 * * *", "../../etc/passwd"), "time_zone: there is no '../../etc/passwd'"),
        (Scheduler("0 2 * * *", ""), "time_zone: there is no ''"),
        (DatabasePoller("URL", "SELECT * FROM orders", "id"), "query: must have the one parameter $1"),
        (DatabasePoller("URL", "SELECT * FROM orders WHERE a > $1 AND b > $2", "id"), "query: must have the one"),
        (FileWatcher("/in", "post/*.pdf"), "pattern: is of names, not of paths"),
    ],
)
def test_a_fault_says_what_to_mend(trigger: Trigger, says: str) -> None:
    [fault] = automation_faults(Register(trigger, ALERT))
    assert fault.startswith(says)
