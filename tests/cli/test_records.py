"""`sagacity sources|records|quality|schemas|automations` on a whole platform: from a file to a complete record."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.cli.conftest import Ran, Sagacity
from tests.up import Up, running_platform

DOCUMENTS = Path(__file__).parents[2] / "sagacity" / "demo" / "documents"
UPLOADS = {"platform": "http", "name": "Uploads", "follow_up": {"enabled": False}}
CLAIMS = {
    "name": "claims",
    "title": "Insurance claim",
    "fields": [
        {"path": "number", "type": "identifier", "labels": {"en": ["claim number"]}},
        {"path": "damage", "type": "amount", "minimum": 0, "labels": {"en": ["damage"]}},
        {"path": "theft", "type": "boolean", "labels": {"en": ["theft"]}},
    ],
}


@pytest.fixture(scope="module")
def up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    """A platform with a schema `claims`, and sources `uploads` (of any domain) and `claims` (of that one)."""
    with pytest.MonkeyPatch.context() as patch, _platform(patch, tmp_path_factory.mktemp("records")) as up:
        with httpx.Client(base_url=f"{up.url}/api/v1", timeout=30) as api:
            for type, id, data in (
                ("record_schema.publish", "claims", {"schema": CLAIMS}),
                ("source.register", "uploads", UPLOADS),
                ("source.register", "claims", {**UPLOADS, "domain": "claims"}),
            ):
                category = type.partition(".")[0]
                body = {"type": type, "stream": {"category": category, "id": id}, "data": data}
                sent = api.post("/commands", json=body)
                assert sent.status_code == 201, sent.text
            until(lambda: api.get("/sources/claims").status_code == 200)
        yield up


@contextmanager
def _platform(patch: pytest.MonkeyPatch, home: Path) -> Iterator[Up]:
    patch.setenv("GUARDED_SECRET", "sesame")
    with running_platform(home) as up:
        yield up


def until(true: Callable[[], bool], timeout: float = 60.0) -> None:
    deadline = time.monotonic() + timeout
    while not true():
        assert time.monotonic() < deadline, "it does not come to that"
        time.sleep(0.1)


class Run:
    """The command line, pointed at the platform."""

    def __init__(self, sagacity: Sagacity, up: Up) -> None:
        self._sagacity = sagacity
        self.url = up.url

    def __call__(self, *arguments: object) -> Ran:
        return self._sagacity(*arguments, "--url", self.url)

    def json(self, *arguments: object) -> Any:
        ran = self(*arguments, "--json")
        assert ran.status == 0, ran
        return json.loads(ran.out)

    def submitted(self, file: Path, source: str) -> str:
        """The record of a file, when it was dealt with."""
        [sent] = self.json("records", "submit", file, "--source", source)
        self("records", "follow", sent["record_id"])
        until(lambda: self.json("records", "show", sent["record_id"])["status"] not in ("received", "enriched"))
        return str(sent["record_id"])


@pytest.fixture
def run(sagacity: Sagacity, up: Up) -> Run:
    return Run(sagacity, up)


def claim(name: str, *lines: str) -> Path:
    file = Path(name)
    file.write_text("\n".join((f"Claim of {name}", *lines)) + "\n")
    return file


class TestSources:
    def test_are_registered_shown_listed_and_closed(self, run: Run) -> None:
        Path("post.yaml").write_text("platform: http\nname: Post\ncalendar: {country: AT, opens: 8}\n")
        assert run("sources", "register", "post.yaml", "--id", "post").text.startswith(
            "accepted: source/post, version 1"
        )
        shown = run("sources", "show", "post").text
        assert shown.startswith("post: Post, http, open\nmessages are posted to /api/v1/intake/post\n")
        assert "calendar\t8 to 17 h, UTC, AT" in shown
        assert "post" in [row["id"] for row in run.json("sources", "list", "--status", "open")]
        assert run("sources", "close", "post", "--reason", "moved").status == 0
        assert "post" in [row["id"] for row in run.json("sources", "list", "--status", "closed")]
        refused = run("sources", "register", "post.yaml", "--id", "post")
        assert (refused.status, refused.text.split(":")[1]) == (1, " source_already_registered")

    def test_every_fault_of_one_is_named(self, run: Run) -> None:
        Path("wrong.json").write_text('{"platform": "pigeon", "nme": "x", "language": "german"}')
        called = run("sources", "register", "wrong.json")
        assert (called.status, called.errors.count("\n")) == (2, 1)
        for where in ("/data/platform", "'nme'", "/data/language"):
            assert where in called.errors


class TestSchemas:
    def test_what_is_shown_can_be_published(self, run: Run) -> None:
        schema = run.json("schemas", "show", "claims", "--version", 1)
        schema["fields"][0]["weight"] = 2
        Path("claims.json").write_text(json.dumps(schema))
        assert run("schemas", "publish", "claims.json").status == 0
        shown = run("schemas", "show", "claims").text.splitlines()
        assert shown[0].startswith("claims: Insurance claim, version ")
        assert "number\tidentifier\tyes\t2\t\t" in shown
        assert "damage\tamount\tyes\t1\tat least 0\t" in shown
        assert "claims" in [row.split("\t")[0] for row in run("schemas", "list").text.splitlines()]

    def test_what_is_no_version_and_no_schema_is_said(self, run: Run) -> None:
        assert "claims has no version 99; known: 1" in run("schemas", "show", "claims", "--version", 99).errors
        Path("wrong.json").write_text('{"fields": [{"path": "A", "type": "x"}]}')
        called = run("schemas", "publish", "wrong.json")
        assert (called.status, called.errors.count("\n")) == (2, 1)
        for where in ("/data/schema/fields/0/path", "/data/schema/fields/0/type", "'name'"):
            assert where in called.errors


class TestSubmitting:
    def test_files_become_records_and_the_same_file_is_the_same_record(self, run: Run) -> None:
        for name in ("invoice-2026-031.pdf", "referral.eml"):
            shutil.copy(DOCUMENTS / name, ".")
        submit = ("records", "submit", "invoice-2026-031.pdf", "referral.eml", "--source", "uploads")
        first, again = run(*submit).text.splitlines(), run(*submit).text.splitlines()
        assert [line.split("\t")[2] for line in first] == ["outcome", "received", "received"]
        assert [line.split("\t")[2] for line in again] == ["outcome", "known already", "known already"]
        assert [line.split("\t")[:2] for line in first] == [line.split("\t")[:2] for line in again]

    def test_a_record_keeps_the_file_as_it_was(self, run: Run) -> None:
        file = DOCUMENTS / "lieferschein-7781.txt"
        [sent] = run.json("records", "submit", file, "--source", "uploads")
        assert run("records", "original", sent["record_id"]).out == file.read_bytes()
        saved = run("records", "original", sent["record_id"], "--out", "copy.txt")
        assert saved.text == f"copy.txt: {file.stat().st_size} bytes\n"
        assert Path("copy.txt").read_bytes() == file.read_bytes()

    def test_they_are_followed_until_they_are_dealt_with(self, run: Run) -> None:
        followed = run("records", "submit", DOCUMENTS / "invoice-2026-031.pdf", "--source", "uploads", "--follow")
        assert followed.status == 0, followed
        for line in ("received: invoice-2026-031.pdf", "analysed: financial (", "complete, with a score of 1.00"):
            assert line in followed.text

    def test_what_cannot_be_read_is_parked(self, run: Run) -> None:
        followed = run("records", "submit", DOCUMENTS / "broken.pdf", "--source", "uploads", "--follow")
        assert followed.status == 1, followed
        assert "parked at enrich: " in followed.text
        until(lambda: run.json("records", "list", "--status", "parked"))
        parked = run.json("records", "list", "--status", "parked")
        assert [row["attachments"][0]["name"] for row in parked] == ["broken.pdf"]
        retried = run("records", "retry", "--all", "--source", "uploads")
        assert (retried.status, retried.text) == (0, f"record\toutcome\n{parked[0]['id']}\taccepted\n")
        until(lambda: run.json("records", "show", parked[0]["id"])["status"] == "parked")
        assert run("records", "retry", parked[0]["id"], "none").text.endswith(
            "none\trefused: record_not_found: there is no such record\n"
        )

    def test_a_source_that_is_not_there_or_takes_nothing_is_said(self, run: Run) -> None:
        file = claim("a.txt", "Claim number: CL-1")
        assert "nowhere" in run("records", "submit", file, "--source", "nowhere").errors
        Path("shut.json").write_text('{"platform": "http", "name": "Shut"}')
        run("sources", "register", "shut.json", "--id", "shut")
        run("sources", "close", "shut")
        refused = run("records", "submit", file, "--source", "shut")
        assert refused.status == 1
        assert "a.txt\t\trefused: the source 'shut' is closed" in refused.text

    def test_a_source_with_a_secret_takes_files_from_who_knows_it(
        self, run: Run, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        Path("guarded.json").write_text('{"platform": "http", "name": "Guarded", "secret": "GUARDED_SECRET"}')
        run("sources", "register", "guarded.json", "--id", "guarded")
        submit = ("records", "submit", claim("g.txt", "Claim number: CL-7"), "--source", "guarded")
        assert "Authorization is missing, or not the secret of this source" in run(*submit).text
        assert "--token-from: MY_TOKEN is not set" in run(*submit, "--token-from", "MY_TOKEN").errors
        monkeypatch.setenv("MY_TOKEN", "sesame")
        assert run(*submit, "--token-from", "MY_TOKEN").text.endswith("\treceived\n")


class TestARecord:
    def test_says_what_it_says_and_what_is_missing(self, run: Run) -> None:
        id = run.submitted(claim("b.txt", "Claim number: CL-2", "Theft: no"), "claims")
        shown = run("records", "show", id).text.splitlines()
        assert shown[0].startswith(f"{id}: scored, claims")
        assert "attachment 1: b.txt, text/plain, " in "\n".join(shown)
        assert "number\tCL-2\t" in shown
        assert "damage\t\tmissing" in shown
        listed = {row["id"]: row["missing"] for row in run.json("records", "list", "--domain", "claims")}
        assert listed[id] == ["damage"]

    def test_is_complete_when_a_person_has_entered_the_rest(self, run: Run) -> None:
        id = run.submitted(claim("c.txt", "Claim number: CL-3"), "claims")
        answered = run("records", "answer", id, "damage=1190.50", "theft=yes")
        assert answered.status == 0, answered
        assert run("records", "follow", id).status == 0
        until(lambda: run.json("records", "show", id)["status"] == "completed")
        values = run.json("records", "show", id)["values"]
        assert (values["damage"], values["theft"]) == (1190.5, True)

    def test_every_fault_of_an_answer_is_named(self, run: Run) -> None:
        id = run.submitted(claim("d.txt", "Claim number: CL-4"), "claims")
        called = run("records", "answer", id, "damage=much", "theft=maybe", "numbr=1", "number", "--refuse", "x")
        assert (called.status, called.errors.count("\n")) == (2, 1)
        for says in (
            "'much' is no number",
            "'maybe' is neither",
            "no field 'numbr'",
            "'number' is no PATH",
            "field 'x'",
        ):
            assert says in called.errors

    def test_is_dismissed(self, run: Run) -> None:
        id = run.submitted(claim("e.txt", "Claim number: CL-5"), "claims")
        assert run("records", "dismiss", id, "--reason", "a test").status == 0
        followed = run("records", "follow", id)
        assert followed.status == 1
        assert "dismissed: a test" in followed.text

    @pytest.mark.parametrize("command", ["show", "original", "follow"])
    def test_that_is_not_there_is_one_line(self, run: Run, command: str) -> None:
        called = run("records", command, "nobody")
        assert (called.status, called.out, called.errors.count("\n")) == (2, b"", 1)
        assert "nobody" in called.errors


class TestQuality:
    def test_is_shown_in_sum_by_source_and_by_day(self, run: Run) -> None:
        id = run.submitted(claim("f.txt", "Claim number: CL-6"), "claims")
        until(lambda: any(row["name"] == "claims" for row in run.json("quality", "overview")["domains"]))
        shown = run("quality", "overview").text
        assert "domain\trecords\tscored\tcomplete\tmean score\tcompleteness\tvalidity" in shown
        assert "claims\tdamage\t" in shown
        assert "0 questions: 0 open, 0 of them overdue; none is over" in shown
        worst = run.json("quality", "sources")
        assert "claims" in [row["name"] for row in worst]
        assert run.json("quality", "sources", "--worst", 1) == worst[:1]
        trends = run.json("quality", "trends", "--source", "claims", "--days", 2)
        assert {row["domain"] for row in trends} == {"claims"}
        assert sum(row["records"] for row in trends) > 0
        assert run("quality", "follow-ups").text == "deadline\trecord\tnumber\tchannel\tasked\tmissing\n"
        assert id in [row["id"] for row in run.json("records", "list", "--source", "claims")]


class TestAutomations:
    def test_are_registered_do_something_and_are_removed(self, run: Run, tmp_path: Path) -> None:
        place = tmp_path / "in"
        place.mkdir()
        (place / "Acme").write_text("a name")
        trigger = {"type": "file_watcher", "path": str(place), "every": 0.2, "settled": 0.2}
        action = {"type": "give_command", "command": "organization.register", "data": {"name": "{name}"}}
        Path("rule.json").write_text(json.dumps({"name": "Names", "trigger": trigger, "actions": [action]}))
        assert run("automations", "register", "rule.json", "--id", "names").status == 0
        until(lambda: run.json("automations", "show", "names")["fired"] == 1)
        shown = run("automations", "show", "names").text.splitlines()
        assert shown[:3] == [
            "names, Names: active",
            f"set off by files {place}/*",
            "1. the command organization.register",
        ]
        assert f"\t{place}/Acme\tgive_command\tdone\t" in shown[-1]
        assert run("automations", "pause", "names", "--reason", "tests").status == 0
        assert run("automations", "show", "names").text.startswith("names, Names: paused (tests)\n")
        assert run("automations", "resume", "names").status == 0
        assert run("automations", "remove", "names").status == 0
        assert [row["id"] for row in run.json("automations", "list", "--status", "removed")] == ["names"]

    def test_every_fault_of_a_rule_is_named(self, run: Run) -> None:
        action = {"type": "process_document", "source": "uploads"}
        trigger = {"type": "time_scheduler", "cron": "99 * * * *", "time_zone": "Graz"}
        Path("rule.json").write_text(json.dumps({"trigger": trigger, "actions": [action]}))
        refused = run("automations", "register", "rule.json")
        assert refused.status == 1
        for fault in ("time_zone: there is no 'Graz'", "cron: '99 * * * *'", "a moment is no document"):
            assert fault in refused.text

    def test_one_that_events_set_off_is_written_as_yaml_and_shows_what_it_waits_for(self, run: Run) -> None:
        Path("wrong.yaml").write_text(
            "trigger: {type: event, types: [automation.fired], where: 'size(event.data)'}\n"
            "actions: [{type: invoke_agent, agent: '@sorter', prompt_template: '${evnt.id}'}]\n"
        )
        refused = run("automations", "register", "wrong.yaml")
        assert refused.status == 1
        for fault in ("automation.fired sets nothing off", "there is no function size", "there is no 'evnt' here"):
            assert fault in refused.text
        Path("rule.yaml").write_text(
            "trigger: {type: event, types: [payment.failed], source: /bank, where: 'event.data.amount > `7`'}\n"
            "actions: [{type: invoke_agent, agent: '@sorter'}, {type: start_workflow, definition: dunning}]\n"
            "parallel: true\n"
        )
        assert run("automations", "register", "rule.yaml", "--id", "dunning").status == 0
        until(lambda: run.json("automations", "list", "--status", "active") != [])
        assert run("automations", "show", "dunning").text.splitlines()[1:5] == [
            "set off by events payment.failed of /bank where event.data.amount > `7`",
            "all at once:",
            "1. the agent @sorter",
            "2. a run of dunning",
        ]

    def test_what_keeps_one_from_being_carried_out_is_shown(self, run: Run, tmp_path: Path) -> None:
        trigger = {"type": "file_watcher", "path": str(tmp_path / "none")}
        action = {"type": "process_document", "source": "uploads"}
        Path("rule.json").write_text(json.dumps({"trigger": trigger, "actions": [action]}))
        assert run("automations", "register", "rule.json", "--id", "nowhere").status == 0
        until(lambda: "No such file or directory" in run("automations", "list").text)
        assert "cannot be carried out: FileNotFoundError" in run("automations", "show", "nowhere").text
