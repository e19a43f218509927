"""The commands that ask a running platform."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from tests.cli.conftest import Platform, Sagacity


@pytest.mark.parametrize("via", ["http", "nats"])
def test_a_command_is_accepted_refused_or_invalid_over_both_transports(
    platform: Platform, sagacity: Sagacity, via: str
) -> None:
    """Exit status 0, 1 and 2; both transports end in the same handler."""
    there = ("--url", platform.url, "--nats", platform.nats_url, "--via", via, "--actor", "ann")
    register = ("command", "organization.register", "--stream", f"acme-{via}", *there, "--data", '{"name":\n "Acme"}')

    accepted = sagacity(*register, "--id", f"first-{via}", "--wait")
    again = sagacity(*register, "--id", f"first-{via}", "--json")
    refused = sagacity(*register)
    invalid = sagacity("command", "organization.register", *there, "--stream", "a b", "--data", '{"name": 1, "x": 2}')

    assert (accepted.status, accepted.errors) == (0, "")
    assert accepted.text.startswith(f"accepted: organization/acme-{via}, version 1, position ")
    assert "organization.registered" in accepted.text
    assert again.status == 0
    assert json.loads(again.out)["duplicate"] is True
    assert refused.status == 1
    assert refused.text == "refused: organization_already_registered: this id belongs to the organization 'Acme'\n"
    assert invalid.status == 2
    assert invalid.errors.count("\n") == 1
    for fault in ("/stream/id", "/data/name", "'x' was unexpected"):
        assert fault in invalid.errors


def test_a_command_from_a_file_or_standard_input(platform: Platform, sagacity: Sagacity, tmp_path: Path) -> None:
    (tmp_path / "acme.json").write_text('{\n  "name": "From a file"\n}\n')

    from_file = sagacity("command", "organization.register", "--url", platform.url, "--data", "@acme.json", "--json")
    from_pipe = sagacity(
        "command", "organization.register", "--url", platform.url, "--data", "-", "--json", stdin=b'{"name": "Piped"}'
    )

    assert (from_file.status, from_pipe.status) == (0, 0)
    assert json.loads(from_file.out)["stream"]["category"] == "organization"


def test_a_wrong_expected_version_is_refused(platform: Platform, sagacity: Sagacity) -> None:
    arguments = ("command", "organization.register", "--url", platform.url, "--data", '{"name": "A"}')
    refused = sagacity(*arguments, "--expected-version", 7)
    assert refused.status == 1
    assert refused.text.startswith("refused: version_conflict: ")


def test_all_commands_are_listed_with_their_fields(sagacity: Sagacity) -> None:
    """Without any server; what only Sagacity itself may ask for is not among them."""
    listed = sagacity("command", "--list")
    schemas = json.loads(sagacity("command", "--list", "--json").out)
    assert listed.status == 0
    assert "deployment.request  What people ask for." in listed.text
    assert "    environment_type: development | production | staging (default: development)" in listed.text
    assert schemas["stack.publish_version"]["required"] == ["version", "release"]
    assert "environment.reserve_rollout" not in schemas


def test_status_shows_dependencies_read_models_and_open_sagas(platform: Platform, sagacity: Sagacity) -> None:
    shown = sagacity("status", "--url", platform.url)
    document = json.loads(sagacity("status", "--url", platform.url, "--json").out)
    assert (shown.status, shown.errors) == (0, "")
    assert shown.text.startswith(f"{platform.url}: ok\n")
    assert {"log", "read_models", "projections"} <= set(document["health"]["dependencies"])
    assert "deployments" in [each["name"] for each in document["projections"]]
    assert document["healthy"] is True
    assert "no open sagas" in shown.text


def test_tables_in_a_pipe_are_tab_separated_lines_with_a_header(platform: Platform, sagacity: Sagacity) -> None:
    header = "projection\tstate\tposition\tevents behind\tseconds behind"
    listed = sagacity("projections", "list", "--url", platform.url).text.splitlines()
    assert listed[0] == header
    assert {len(line.split("\t")) for line in listed} == {5}
    shown = sagacity("status", "--url", platform.url).text.splitlines()
    assert header in shown
    assert any(line.startswith("dependency\t") for line in shown)


def test_the_platform_is_found_through_its_data_directory(
    platform: Platform, sagacity: Sagacity, tmp_path: Path
) -> None:
    """Named with --data, or .sagacity in the current directory."""
    for name in ("elsewhere", ".sagacity"):
        (tmp_path / name / "run").mkdir(parents=True)
        (tmp_path / name / "run" / "url").write_text(platform.url)
    assert sagacity("status", "--data", "elsewhere").status == 0
    assert sagacity("status").status == 0


def test_a_read_model_is_rebuilt(platform: Platform, sagacity: Sagacity) -> None:
    listed = json.loads(sagacity("projections", "list", "--url", platform.url, "--json").out)
    rebuilt = sagacity("projections", "rebuild", "organizations", "--url", platform.url, "--wait")
    assert "organizations" in [each["name"] for each in listed]
    assert (rebuilt.status, rebuilt.errors) == (0, "")
    assert rebuilt.text.startswith("organizations is rebuilt, up to position ")
    assert "same" in rebuilt.text


def test_tail_follows_the_log_and_survives_a_restart_of_the_platform(platform: Platform, sagacity: Sagacity) -> None:
    """Nothing is missed and nothing comes twice while the connection is lost."""
    command = ("command", "organization.register", "--url", platform.url, "--data")
    first = json.loads(sagacity(*command, '{"name": "Tail 1"}', "--json").out)["position"] - 2
    arguments = ["events", "tail", "--url", platform.url, "--after", str(first), "--category", "organization"]
    tail = subprocess.Popen(
        [sys.executable, "-m", "sagacity", *arguments, "--limit", "3", "--json"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert tail.stdout is not None
    killer = threading.Timer(40, tail.kill)
    killer.start()
    try:
        seen = [json.loads(tail.stdout.readline())]
        platform.stop()
        platform.start()
        for number in (2, 3):
            assert sagacity(*command, json.dumps({"name": f"Tail {number}"})).status == 0
        seen += [json.loads(tail.stdout.readline()) for _ in range(2)]
        assert tail.wait(20) == 0
    finally:
        killer.cancel()
        tail.kill()
        _, errors = tail.communicate()
    assert [event["data"]["name"] for event in seen] == ["Tail 1", "Tail 2", "Tail 3"]
    assert f"connection lost; going on after position {seen[0]['position']}" in errors


@pytest.mark.parametrize(
    "question", [["organization/told"], ["organization/told", "--state"], ["--category", "command"]], ids=" ".join
)
def test_history_is_told_over_http_too(platform: Platform, sagacity: Sagacity, question: list[str]) -> None:
    """The same documents and state as from the log itself."""
    there = ("--url", platform.url, "--stream", "told", "--data")
    sagacity("command", "organization.register", *there, '{"name": "Told"}')
    sagacity("command", "organization.describe", *there, '{"description": "b"}')

    over_http = sagacity("replay", *question, "--json", "--url", platform.url)

    assert (over_http.status, over_http.errors) == (0, "")
    assert over_http.out == sagacity("replay", *question, "--json", "--nats", platform.nats_url).out


def test_a_history_that_is_not_there_is_one_line(platform: Platform, sagacity: Sagacity) -> None:
    missing = sagacity("replay", "organization/none", "--url", platform.url)
    assert (missing.status, missing.errors.count("\n")) == (2, 1)


def test_tail_for_people_is_one_line_an_event(platform: Platform, sagacity: Sagacity) -> None:
    sagacity("command", "organization.register", "--url", platform.url, "--data", '{"name": "Seen"}', "--actor", "eve")
    shown = sagacity(
        "events", "tail", "--url", platform.url, "--after", 0, "--type", "organization.registered", "--limit", 1
    )
    assert (shown.status, shown.errors) == (0, "")
    assert shown.text.count("\n") == 1
    assert "organization.registered  organization/" in shown.text
