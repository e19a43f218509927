"""Rules on the record, carried out: on a real log, with real files, rows and alerts."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from pathlib import Path

import asyncpg
import pytest

from domain import automation
from domain.automation import GiveCommand, Scheduler
from eventstore.blobs import LARGEST, Blobs
from eventstore.envelope import Context, StreamId, now
from eventstore.store import StreamWrite
from tests.records.automations.conftest import Receiver
from tests.records.automations.platform import Automating, until

REGISTER_NAME = {"type": "give_command", "command": "organization.register", "data": {"name": "{name}"}}
READY = {"type": "give_command", "command": "organization.register", "data": {"name": "ready"}}
PROCESS = {"type": "process_document", "source": "scans"}


def watching(place: Path, *actions: dict[str, object], pattern: str = "*") -> dict[str, object]:
    trigger = {"type": "file_watcher", "path": str(place), "pattern": pattern, "every": 0.1, "settled": 0.1}
    return {"trigger": trigger, "actions": list(actions)}


@pytest.fixture
def place(tmp_path: Path) -> Path:
    place = tmp_path / "in"
    place.mkdir()
    return place


class TestActions:
    async def test_a_file_becomes_a_record_with_its_content(self, automating: Automating, place: Path) -> None:
        (place / "invoice.pdf").write_bytes(b"%PDF-1.4 \xff")
        await automating.command("automation.register", "scan", watching(place, PROCESS))
        async with automating.running():
            await automating.has_fired("scan")
        [received] = await automating.events("record", "record.received")
        message = received.message
        assert (message.source, message.platform, message.sender.id) == ("scans", "folder", "Scans")
        [attachment] = message.attachments
        assert (attachment.name, attachment.media_type, attachment.size) == ("invoice.pdf", "application/pdf", 10)
        assert await Blobs(automating.core.connection).get(attachment.content) == b"%PDF-1.4 \xff"
        [fired] = await automating.fired("scan")
        [carried] = fired.carried
        assert (carried.action, carried.outcome) == ("process_document", "done")
        assert carried.reference.startswith("scans-")
        assert fired.what == str(place / "invoice.pdf")

    async def test_an_alert_goes_out_and_a_command_is_given_with_what_occurred(
        self, automating: Automating, place: Path, receiver: Receiver
    ) -> None:
        (place / "Acme").write_text("")
        alert = {"type": "send_alert", "apprise": "ALERTS", "text": "{name} of {nobody} has come"}
        await automating.command("automation.register", "tell", watching(place, alert, REGISTER_NAME))
        async with automating.running():
            await automating.has_fired("tell")
        assert [each["message"] for each in receiver.received] == ["Acme of {nobody} has come"]
        [registered] = await automating.events("organization", "organization.registered")
        assert registered.name == "Acme"
        [fired] = await automating.fired("tell")
        assert [each.outcome for each in fired.carried] == ["done", "done"]
        assert fired.carried[1].reference.startswith("act-")

    async def test_rows_become_records_with_their_fields_and_numbers_stay_numbers(
        self, automating: Automating, database_url: str
    ) -> None:
        connection = await asyncpg.connect(database_url)
        await connection.execute("CREATE TABLE orders AS SELECT 7 AS id, 'Ann' AS name, 99.5 AS total")
        await connection.close()
        automating.variables["ORDERS"] = database_url
        query = "SELECT * FROM orders WHERE id > coalesce(nullif($1::text, '')::int, 0) ORDER BY id"
        trigger = {"type": "database_poller", "database": "ORDERS", "query": query, "cursor": "id", "every": 0.1}
        data = {"platform": "http", "name": "{name}: {total}", "follow_up": {"rounds": "{id}"}}
        give = {"type": "give_command", "command": "source.register", "stream_id": "row-{id}", "data": data}
        actions = [{"type": "process_document", "source": "orders"}, give]
        await automating.command("automation.register", "poll", {"trigger": trigger, "actions": actions})
        async with automating.running():
            await automating.has_fired("poll")
        [received] = await automating.events("record", "record.received")
        assert received.message.data == {"id": 7, "name": "Ann", "total": 99.5}
        registered = (await automating.events("source", "source.registered"))[-1].configuration
        assert (registered.name, registered.follow_up.rounds) == ("Ann: 99.5", 7)
        assert (await automating.fired("poll"))[0].cursor == "7"

    async def test_what_does_not_work_is_said_and_keeps_nothing_else_from_being_done(
        self, automating: Automating, place: Path, receiver: Receiver
    ) -> None:
        receiver.status = 500
        await automating.command("source.register", "chat", {"platform": "telegram", "name": "Chat"})
        await automating.command("source.register", "shut", {"platform": "folder", "name": "Shut"})
        await automating.command("source.close", "shut")
        with (place / "huge").open("wb") as file:
            file.truncate(LARGEST + 1)
        unsuitable = [
            {"type": "send_alert", "apprise": "ALERTS", "text": "x"},
            {"type": "send_alert", "apprise": "NOBODY", "text": "x"},
            {"type": "give_command", "command": "organization.register", "data": {"nme": "x"}},
            {"type": "give_command", "command": "record.take"},
            PROCESS,
        ]
        await automating.command("automation.register", "huge", watching(place, *unsuitable, REGISTER_NAME))
        sources = [{"type": "process_document", "source": name} for name in ("none", "chat", "shut")]
        await automating.command("automation.register", "small", watching(place, *sources, pattern="small"))
        (place / "small").write_text("x")
        async with automating.running():
            await automating.has_fired("huge", 2)
            await automating.has_fired("small")
        fired = next(each for each in await automating.fired("huge") if each.what.endswith("huge"))
        said = [each.reason for each in fired.carried]
        assert [each.outcome for each in fired.carried] == [*["failed"] * 5, "done"]
        assert said[0] == "the alert was not taken by what ALERTS names"
        assert said[1] == "the variable NOBODY is not set"
        assert "nme" in said[2]
        assert said[3] == "/type: there is no command 'record.take'"
        assert said[4] == f"huge: {LARGEST + 1} bytes; at most {LARGEST}"
        [fired] = await automating.fired("small")
        none, chat, shut = [each.reason for each in fired.carried]
        assert none == "there is no source none"
        assert chat == "chat is a source of messages from telegram alone"
        assert shut.startswith("source_closed")


class TestOnce:
    async def test_killed_between_an_action_and_its_record_it_is_done_once(
        self, automating: Automating, place: Path
    ) -> None:
        """The second process finds the record and the command there already, and adds what was still missing."""
        (place / "Acme").write_text("an invoice, say")
        await automating.command("automation.register", "scan", watching(place, PROCESS, REGISTER_NAME))
        reached = asyncio.Event()

        async def never(*_: object) -> str | None:
            reached.set()
            await asyncio.Event().wait()

        async with automating.running(never):
            await asyncio.wait_for(reached.wait(), 20)
        assert await automating.fired("scan") == []
        assert len(await automating.events("record", "record.received")) == 1
        async with automating.running():
            await automating.has_fired("scan")
        assert len(await automating.events("record", "record.received")) == 1
        assert len(await automating.events("organization", "organization.registered")) == 1
        [fired] = await automating.fired("scan")
        assert [each.outcome for each in fired.carried] == ["done", "done"]

    async def test_two_at_the_same_time_leave_what_one_would_have_left(
        self, automating: Automating, place: Path
    ) -> None:
        await automating.command("automation.register", "scan", watching(place, PROCESS, REGISTER_NAME))
        async with automating.running(), automating.running():
            for number in range(5):
                (place / f"Acme {number}").write_text(f"invoice {number}")
            await automating.has_fired("scan", 5)
        assert len(await automating.fired("scan")) == 5
        assert len(await automating.events("record", "record.received")) == 5
        assert len(await automating.events("organization", "organization.registered")) == 5

    async def test_after_a_restart_nothing_is_told_twice(self, automating: Automating, place: Path) -> None:
        await automating.command("automation.register", "scan", watching(place, PROCESS))
        (place / "first").write_text("1")
        async with automating.running():
            await automating.has_fired("scan")
        (place / "second").write_text("2")
        async with automating.running():
            await automating.has_fired("scan", 2)
        assert [Path(each.what).name for each in await automating.fired("scan")] == ["first", "second"]


class TestARuleThatChanges:
    async def test_while_it_is_paused_nothing_is_done_and_what_occurred_is_made_up_for(
        self, automating: Automating, place: Path
    ) -> None:
        await automating.command("automation.register", "scan", watching(place, PROCESS))
        async with automating.running():
            (place / "1").write_text("1")
            await automating.has_fired("scan")
            await automating.command("automation.pause", "scan")
            await automating.command("automation.register", "other", watching(place, PROCESS))
            (place / "2").write_text("2")
            await automating.has_fired("other", 2)
            assert len(await automating.fired("scan")) == 1
            await automating.command("automation.resume", "scan")
            await automating.has_fired("scan", 2)

    async def test_it_is_carried_out_as_it_is_now(self, automating: Automating, place: Path) -> None:
        """What it dealt with before is not dealt with again."""
        await automating.command("automation.register", "scan", watching(place, PROCESS))
        async with automating.running():
            (place / "Acme").write_text("1")
            await automating.has_fired("scan")
            await automating.command("automation.register", "scan", watching(place, REGISTER_NAME))
            (place / "Bolt").write_text("2")
            await automating.has_fired("scan", 2)
        assert [each.name for each in await automating.events("organization", "organization.registered")] == ["Bolt"]
        assert len(await automating.events("record", "record.received")) == 1

    async def test_one_that_cannot_be_carried_out_disturbs_no_other(
        self, automating: Automating, place: Path, tmp_path: Path
    ) -> None:
        """And is carried out as soon as it can be. Why it could not be, and that it can, is on the record once."""
        later = tmp_path / "later"
        await automating.command("automation.register", "early", watching(later, PROCESS))
        await automating.command("automation.register", "scan", watching(place, PROCESS))
        (place / "1").write_text("1")
        async with automating.running():
            await automating.has_fired("scan")
            await until(lambda: _told(automating, "stumbled", 1))
            later.mkdir()
            (later / "2").write_text("2")
            await automating.has_fired("early")
            await until(lambda: _told(automating, "recovered", 1))
        [stumbled] = await automating.events("automation", "automation.stumbled")
        assert stumbled.reason == f"FileNotFoundError: [Errno 2] No such file or directory: '{later}'"

    async def test_what_keeps_it_from_being_carried_out_is_told_anew_when_it_is_something_else(
        self, automating: Automating, place: Path
    ) -> None:
        """Nothing is told of one that is replaced by one that works, but that it does."""
        trigger = {"type": "database_poller", "database": "NONE", "query": "SELECT $1", "cursor": "id", "every": 0.1}
        await automating.command("automation.register", "poll", {"trigger": trigger, "actions": [PROCESS]})
        async with automating.running():
            await until(lambda: _told(automating, "stumbled", 1))
            automating.variables["NONE"] = "no address"
            await until(lambda: _told(automating, "stumbled", 2))
            await automating.command("automation.register", "poll", watching(place, PROCESS))
            (place / "1").write_text("1")
            await automating.has_fired("poll")
        assert [each.reason for each in await automating.events("automation", "automation.stumbled")] == [
            "LookupError: the variable NONE is not set",
            "LookupError: the variable NONE holds no URL of a database",
        ]
        assert await automating.events("automation", "automation.recovered") == []


class TestMoments:
    async def test_the_last_one_that_was_missed_is_made_up_for(self, automating: Automating) -> None:
        """Nothing ran for an hour: the command is given once."""
        rule = automation.Registered("", Scheduler("* * * * *"), (_register_time(),))
        await append(automating, "often", rule, minutes_ago=60)
        async with automating.running():
            await automating.has_fired("often")
        assert len(await automating.fired("often")) <= 2
        registered = await automating.events("organization", "organization.registered")
        assert [each.name for each in registered] == [each.cursor for each in await automating.fired("often")]

    async def test_one_moment_and_an_interval_that_were_missed_are_made_up_for_once(
        self, automating: Automating
    ) -> None:
        """Also where two look after them, and again after a restart."""
        once = automation.Registered("", Scheduler(at=now() - timedelta(minutes=30)), (_register_time(),))
        often = automation.Registered("", Scheduler(every="45m"), (_register_time(),))
        await append(automating, "once", once, minutes_ago=60)
        await append(automating, "often", often, minutes_ago=100)
        async with automating.running(), automating.running():
            await automating.has_fired("once")
            await automating.has_fired("often")
        async with automating.running():
            await automating.command(
                "automation.register", "ready", {"trigger": {"type": "time_scheduler", "every": 1}, "actions": [READY]}
            )
            await automating.has_fired("ready")
        assert len(await automating.fired("once")) == 1
        [fired] = await automating.fired("often")
        begun, *_ = await automating.core.store.load(StreamId("automation", "often"))
        assert fired.cursor == (begun.time.replace(microsecond=0) + timedelta(minutes=90)).isoformat()

    async def test_those_that_pass_while_a_rule_is_paused_are_not(self, automating: Automating) -> None:
        """Of the hour's moments, the one that comes next is the first."""
        rule = automation.Registered("", Scheduler("0 0 1 1 *"), (_register_time(),))
        daily = automation.Registered("", Scheduler("0 0 * * *"), (_register_time(),))
        for id, registered in (("resumed", rule), ("missed", rule), ("daily", daily)):
            await append(automating, id, registered, minutes_ago=600 * 24 * 60)
        await append(automating, "resumed", automation.Paused(""), minutes_ago=500 * 24 * 60, at=1)
        await automating.command("automation.resume", "resumed")
        async with automating.running():
            await automating.has_fired("missed")
            await automating.has_fired("daily")
        assert await automating.fired("resumed") == []


async def _told(automating: Automating, what: str, times: int) -> bool:
    return len(await automating.events("automation", f"automation.{what}")) == times


def _register_time() -> GiveCommand:
    return GiveCommand("organization.register", data={"name": "{time}"})


async def append(automating: Automating, id: str, event: automation.Event, *, minutes_ago: int, at: int = 0) -> None:
    """As it stands in the log of a platform that was not running since."""
    context = Context(time=now() - timedelta(minutes=minutes_ago), actor="ann", correlation_id=f"talk-{id}")
    stream = StreamId(automation.automation.category, id)
    await automating.core.store.append_all([StreamWrite(stream, at, (event,), context)], context)
