"""`verify` proves the log; `replay` tells it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.conftest import Sagacity
from tests.eventstore.servers import Servers


def test_an_intact_log_is_verified_and_remembered(filled: str, sagacity: Sagacity) -> None:
    verified = sagacity("verify", "--nats", filled, "--checkpoint", "point.json")
    assert (verified.status, verified.text) == (0, "5 events in 4 streams: intact\n")
    assert json.loads(Path("point.json").read_bytes())["position"] == 5
    assert json.loads(sagacity("verify", "--nats", filled, "--json").out)["events"] == 5


def test_a_shortened_log_is_noticed_with_a_checkpoint(filled: str, empty: str, sagacity: Sagacity) -> None:
    """A log that ends too early is sound in itself; the checkpoint says how far it had come, and is kept."""
    sagacity("verify", "--nats", filled, "--checkpoint", "point.json")
    remembered = Path("point.json").read_bytes()
    sagacity("events", "export", "--nats", filled, "--until", 3, "--out", "short.ndjson")
    sagacity("events", "import", "short.ndjson", "--nats", empty)

    shortened = sagacity("verify", "--nats", empty, "--checkpoint", "point.json")

    assert shortened.status == 1
    assert "shortened at position 5: the log ends at position 3; it reached 5 before" in shortened.text
    assert shortened.text.endswith("3 events in 3 streams: 1 fault\n")
    assert Path("point.json").read_bytes() == remembered
    assert sagacity("verify", "--nats", empty).status == 0


def test_a_changed_export_is_noticed(filled: str, empty: str, sagacity: Sagacity) -> None:
    """By the chain on import; where it was the last event of its stream, by whoever remembers it."""
    sagacity("verify", "--nats", filled, "--checkpoint", "point.json")
    sagacity("events", "export", "--nats", filled, "--out", "log.ndjson")
    changed = (
        Path("log.ndjson")
        .read_bytes()
        .replace(b'"type":"command.accepted","time"', b'"type":"command.excepted","time"')
    )
    Path("changed.ndjson").write_bytes(changed)
    sagacity("events", "import", "changed.ndjson", "--nats", empty)

    found = sagacity("verify", "--nats", empty, "--checkpoint", "point.json")

    assert found.status == 1
    assert "changed at position 5: position 5 is not the event that was there" in found.text
    assert "data at position 5: event type command.excepted is unknown" in found.text


def test_a_stream_is_told_with_the_command_behind_each_event(filled: str, sagacity: Sagacity) -> None:
    told = sagacity("replay", "organization/acme", "--nats", filled)
    first, second = told.text.splitlines()
    assert told.status == 0
    assert "organization.registered  organization/acme v1  name=Acme  by ann  ← organization.register" in first
    assert "description=Olé [red] \\ and �[31m" in second, "no control character of an event reaches the terminal"


def test_a_conversation_is_told_with_its_chain_of_causes(filled: str, sagacity: Sagacity) -> None:
    """A command comes before what it did, and its events are indented below it."""
    told = sagacity("replay", "--correlation-id", "talk-1", "--nats", filled).text.splitlines()
    assert [line[34:].partition("  by ")[0] for line in told] == [
        "→ organization.register  organization/acme",
        "  organization.registered  organization/acme v1  name=Acme",
        "→ organization.register  organization/acme  refused: organization_already_registered: "
        "this id belongs to the organization 'Acme'",
        "→ organization.describe  organization/acme",
        "  organization.described  organization/acme v2  description=Olé [red] \\ and �[31m",
    ]


def test_the_state_at_any_point_is_what_the_decider_folds(filled: str, sagacity: Sagacity) -> None:
    """By position and by time."""

    def state(*until: object) -> dict[str, object]:
        return json.loads(sagacity("replay", "organization/acme", "--nats", filled, "--state", "--json", *until).out)

    assert state()["version"] == 2
    assert state("--until", 3)["state"] == {"type": "known", "name": "Acme", "description": "", "settings": {}}
    assert (
        "organization/acme at version 1:"
        in sagacity("replay", "organization/acme", "--nats", filled, "--until", 2, "--state").text
    )


def test_a_category_is_told_as_documents(filled: str, sagacity: Sagacity) -> None:
    lines = sagacity("replay", "--category", "command", "--nats", filled, "--json").out.splitlines()
    assert [json.loads(line)["position"] for line in lines] == [2, 3, 5]


@pytest.mark.parametrize("arguments", [["verify"], ["events", "export"], ["replay", "organization/acme"]])
def test_a_server_without_a_log_says_so(own_nats: Servers, sagacity: Sagacity, arguments: list[str]) -> None:
    refused = sagacity(*arguments, "--nats", own_nats.url)
    assert (refused.status, refused.errors.count("\n")) == (2, 1)
    assert "`sagacity init` creates it" in refused.errors
