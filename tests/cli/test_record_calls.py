"""Commands about records, called wrongly: one line with every fault, exit status 2, nothing sent."""

from __future__ import annotations

from pathlib import Path

import pytest

from sagacity.cli.automations import trigger_line
from tests.cli.conftest import Sagacity

NOBODY = ("--url", "http://127.0.0.1:9")  # the discard port: nothing listens there

BAD_CALLS = {
    "no file": (["records", "submit", "--source", "s"], "Missing argument 'FILES...'"),
    "no source": (["records", "submit", "here"], "Missing option '--source'"),
    "every file that is not there": (
        ["records", "submit", "none", "here", "nor this", "--source", "s"],
        "none cannot be read: No such file or directory; nor this cannot be read: No such file or directory",
    ),
    "a directory": (["records", "submit", ".", "--source", "s"], ". cannot be read: Is a directory"),
    "nobody there": (["records", "submit", "here", "--source", "s"], "nothing answers at http://127.0.0.1:9"),
    "nothing to retry": (["records", "retry"], "name records, or all with --all"),
    "too much to retry": (
        ["records", "retry", "a", "--source", "s", "--all"],
        "name records, or all with --all",
    ),
    "every fault of a retry": (["records", "retry", "--source", "s"], "or all with --all; --source: goes with --all"),
    "nothing to answer": (["records", "answer", "r"], "give what is missing as PATH=VALUE"),
    "no reason": (["records", "dismiss", "r"], "Missing option '--reason'"),
    "no rule": (["automations", "register", "broken.yaml"], "broken.yaml: is no YAML"),
    "no JSON": (["automations", "register", "broken.json"], "broken.json: is no JSON"),
    "no such file": (["sources", "register", "none.yaml"], "none.yaml cannot be read: No such file"),
    "no schema": (["schemas", "publish", "none.json"], "none.json cannot be read: No such file"),
    "no number of days": (["quality", "trends", "--days", "0"], "0 is not in the range"),
    "no such list": (["quality", "everything"], "No such command 'everything'"),
}


@pytest.mark.parametrize(("arguments", "says"), BAD_CALLS.values(), ids=BAD_CALLS)
def test_a_bad_call_is_one_line(sagacity: Sagacity, arguments: list[str], says: str) -> None:
    Path("here").write_text("a document")
    Path("broken.yaml").write_text("trigger: {type: file_watcher")
    Path("broken.json").write_text("{trigger")
    called = sagacity(*arguments, *NOBODY)
    assert (called.status, called.out) == (2, b"")
    assert called.errors.startswith("sagacity: ")
    assert called.errors.count("\n") == 1
    assert says in called.errors


COMMANDS = (
    *(f"records {name}" for name in ("list", "show", "submit", "original", "follow", "retry", "answer", "dismiss")),
    *(f"sources {name}" for name in ("list", "show", "register", "close")),
    *(f"schemas {name}" for name in ("list", "show", "publish")),
    *(f"quality {name}" for name in ("overview", "sources", "trends", "follow-ups")),
    *(f"automations {name}" for name in ("list", "show", "register", "pause", "resume", "remove")),
)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_itself_with_an_example(sagacity: Sagacity, command: str) -> None:
    shown = sagacity(*command.split(), "--help")
    assert shown.status == 0
    assert "Example" in shown.text
    assert f"sagacity {command}" in shown.text


@pytest.mark.parametrize(
    ("moments", "line"),
    [
        ({"cron": "0 2 * * *", "time_zone": "Europe/Berlin"}, "the clock: 0 2 * * * Europe/Berlin"),
        ({"cron": None, "at": "2026-12-01T08:00:00Z"}, "the clock: once, at 2026-12-01T08:00:00Z"),
        ({"cron": None, "every": "15m"}, "the clock: every 15m"),
        ({"cron": None, "every": 90}, "the clock: every 90s"),
    ],
)
def test_what_sets_a_rule_off_by_the_clock_is_told_in_a_line(moments: dict[str, object], line: str) -> None:
    assert trigger_line({"type": "time_scheduler", "time_zone": "UTC", "at": None, "every": None, **moments}) == line
