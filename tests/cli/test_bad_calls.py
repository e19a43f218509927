"""Whatever is wrong with a call: exit status 2 and exactly one line, which says what to mend."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.conftest import Sagacity

NOBODY = "http://127.0.0.1:9"  # the discard port: nothing listens there

BAD_CALLS = {
    "unknown command": (["explode"], "No such command 'explode'"),
    "unknown option": (["status", "--colour"], "No such option"),
    "nothing listens": (
        ["status", "--url", NOBODY],
        f"nothing answers at {NOBODY}: start the platform with `sagacity up`",
    ),
    "no URL": (["status", "--url", "localhost:8000"], "--url: must be http://host… or https://host…"),
    "broken URL": (["projections", "list", "--url", "http://[::1"], "--url: is no URL"),
    "URL without host": (["events", "tail", "--url", "http://"], "--url: must be http://host"),
    "no platform there": (["status", "--data", "nowhere"], "no platform runs in nowhere: start it with `sagacity up"),
    "unusable actor": (["status", "--url", NOBODY, "--actor", "a\nb"], "--actor: must be plain printable characters"),
    "no command type": (["command"], "name the TYPE of the command: `sagacity command --list` shows all"),
    "data is no JSON": (["command", "stack.register", "--data", "{name: x}"], "--data: is no JSON"),
    "data is no UTF-8": (["command", "stack.register", "--data", "@latin1"], "--data: is no JSON"),
    "no data file": (["command", "stack.register", "--data", "@none"], "--data: none cannot be read: No such file"),
    "version below zero": (["command", "stack.register", "--expected-version", "-1"], "-1 is not in the range x>=0"),
    "unknown transport": (["command", "stack.register", "--via", "pigeon"], "'pigeon' is not one of 'http', 'nats'"),
    "type is no subject": (["command", "*", "--via", "nats", "--nats", "nats://h"], "there is no command '*'"),
    "no NATS known": (["command", "a.b", "--via", "nats"], "no platform runs in .sagacity: name a NATS server with"),
    "no NATS URL": (["verify", "--nats", "http://127.0.0.1"], "--nats-url: must be nats://host"),
    "no log known": (["verify"], ".sagacity is no data directory: name one with --data, or a NATS server with --nats"),
    "no position": (["events", "export", "--after", "-3"], "'-3' is no position"),
    "no moment": (["events", "export", "--until", "yesterday"], "'yesterday' is no position and no time such as"),
    "no category": (["events", "export", "--category", "a.b"], "'a.b' is no category"),
    "nothing to export": (["events", "export", "--after", "5", "--until", "3"], "--until: 3 is before --after (5)"),
    "resume nowhere": (["events", "export", "--resume"], "--resume: needs a file to go on with"),
    "nothing to import": (["events", "import", "none", "--data", "new"], "none cannot be read: No such file"),
    "no export": (["events", "import", "latin1", "--data", "new"], "latin1, line 1: no line of an export"),
    "no backup": (["restore", "none", "--data", "new"], "it has no manifest.json"),
    "no tar file": (["restore", "latin1", "--data", "new"], "latin1 is no backup"),
    "no stream": (["replay", "acme"], "'acme' is no stream (category/id, such as deployment/shop-1-1)"),
    "two questions": (
        ["replay", "a/b", "--category", "a", "--state"],
        "name one of STREAM, --category and --correlation-id",
    ),
    "state of a category": (["replay", "--category", "stack", "--state"], "--state: needs a STREAM of organization"),
    "no checkpoint": (["verify", "--checkpoint", "latin1"], "--checkpoint: latin1 is no checkpoint"),
    "docs nowhere": (["docs", "--out", "latin1"], "latin1"),
    "several faults": (["replay", "x", "--category", "y", "--state"], "'x' is no stream"),
}


@pytest.mark.parametrize(("arguments", "says"), BAD_CALLS.values(), ids=BAD_CALLS)
def test_a_bad_call_is_one_line(sagacity: Sagacity, arguments: list[str], says: str) -> None:
    Path("latin1").write_bytes(b'{"name": "\xe9"}\n')
    called = sagacity(*arguments)
    assert (called.status, called.out) == (2, b"")
    assert called.errors.startswith("sagacity: ")
    assert called.errors.count("\n") == 1
    assert says in called.errors


@pytest.mark.parametrize("arguments", [["status"], ["command", "organization.register"], ["workflows", "list"]])
def test_a_directory_that_was_named_is_never_taken_for_another_platform(
    sagacity: Sagacity, monkeypatch: pytest.MonkeyPatch, arguments: list[str]
) -> None:
    """Nor for the one at the default address, whosever that is."""
    monkeypatch.setenv("SAGACITY_DATA", "mine")
    called = sagacity(*arguments)
    assert (called.status, called.errors.count("\n")) == (2, 1)
    assert "no platform runs in mine: start it with `sagacity up --data mine`" in called.errors


def test_a_server_that_is_not_there_is_named_without_its_password(sagacity: Sagacity) -> None:
    called = sagacity("verify", "--nats", "nats://ann:secret@127.0.0.1:9")
    assert called.status == 2
    assert called.errors.startswith("sagacity: no connection to NATS at nats://127.0.0.1:9: ")
    assert "secret" not in called.errors


def test_init_names_a_server_that_is_not_there_once(sagacity: Sagacity) -> None:
    called = sagacity("init", "--nats-url", "nats://ann:sec@secret@127.0.0.1:9")
    assert called.status == 2
    assert called.errors.startswith("sagacity: no connection to NATS at nats://127.0.0.1:9: ")
    assert called.errors.count("nats://") == 1
    assert "secret" not in called.errors


def test_a_platform_that_is_not_there_is_named_without_its_password(sagacity: Sagacity) -> None:
    called = sagacity("status", "--url", "http://ann:secret@127.0.0.1:9")
    assert called.errors.startswith("sagacity: nothing answers at http://127.0.0.1:9: ")


def test_the_program_itself_ends_like_that(tmp_path: Path) -> None:
    """As a process of its own too."""
    done = subprocess.run(
        [sys.executable, "-m", "sagacity", "status", "--url", NOBODY], capture_output=True, text=True, cwd=tmp_path
    )
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)


COMMANDS = (
    "replay canary",
    *("status", "command", "replay", "verify", "backup", "restore", "docs"),
    *("deployments list", "deployments follow", "deployments logs"),
    *("events tail", "events export", "events import", "projections list", "projections rebuild"),
)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_itself_with_an_example(sagacity: Sagacity, command: str) -> None:
    shown = sagacity(*command.split(), "--help")
    assert shown.status == 0
    assert "Example:" in shown.text
    assert f"sagacity {command}" in shown.text
