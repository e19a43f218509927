"""What a library must be asked about a command: every fault at once, and what is sound is left alone."""

from __future__ import annotations

import msgspec
import pytest

from domain import automation, record_schema, source
from domain.automation import GiveCommand, ProcessDocument
from domain.decider import Refusal
from domain.schema import Field, Schema
from domain.source import Calendar
from eventstore.envelope import StreamId
from handlers.command import Caller, CommandRequest
from handlers.unsound import LOOKED_AT, unsound


def register(id="office", calendar=None):
    return unsound(id, source.Register("email", "Office", calendar=calendar or Calendar()))


def watching(trigger, *actions):
    return unsound("rule", automation.Register(trigger, actions or (GiveCommand("organization.describe"),)))


@pytest.mark.parametrize(
    "calendar",
    [
        Calendar(),
        Calendar("Europe/Vienna", "AT", "9"),
        Calendar("America/New_York", "US", "NY", (6,), 0.0, 24.0),
    ],
)
def test_a_calendar_of_a_zone_and_a_country_that_there_are_is_sound(calendar):
    assert register(calendar=calendar) is None


@pytest.mark.parametrize("command", [source.Register, source.Configure])
def test_every_fault_of_a_calendar_is_named_at_once(command):
    refused = unsound("office", command("email", "Office", calendar=Calendar("Mars/Olympus", "XX")))
    assert isinstance(refused, Refusal)
    assert refused.name == "calendar_invalid"
    zone, country = refused.reason.split("; ")
    assert "'Mars/Olympus'" in zone
    assert "XX" in country


@pytest.mark.parametrize("zone", ["", "../../etc/passwd", "/etc/localtime", "Europe/\0", "x" * 60])
def test_a_zone_is_a_name_and_no_path(zone):
    refused = register(calendar=Calendar(zone))
    assert refused is not None
    assert refused.name == "calendar_invalid"


def test_a_part_that_the_country_has_not_is_named():
    refused = register(calendar=Calendar(country="AT", subdivision="NY"))
    assert refused is not None
    assert "NY" in refused.reason


@pytest.mark.parametrize(("length", "sound"), [(50, True), (51, False)])
def test_the_id_of_a_source_leaves_room_for_what_grows_from_it(length, sound):
    refused = register("x" * length)
    assert refused == (None if sound else Refusal("id_too_long", "the id of a source has at most 50 characters"))


def test_every_fault_of_an_automation_is_named_at_once():
    refused = watching(automation.Scheduler("61 * * * *", "Mars/Olympus"), ProcessDocument("scans"))
    assert refused is not None
    assert refused.name == "automation_invalid"
    zone, cron, action = refused.reason.split("; ")
    assert zone == "time_zone: there is no 'Mars/Olympus'"
    assert cron.startswith("cron: '61 * * * *'")
    assert action == "process_document: a moment is no document"


@pytest.mark.parametrize(
    "trigger",
    [
        automation.Scheduler("30 7 * * 1-5", "Europe/Vienna"),
        automation.FileWatcher("/in", "*.pdf"),
        automation.DatabasePoller("ORDERS", "SELECT * FROM o WHERE id > $1 ORDER BY id", "id"),
    ],
)
def test_an_automation_that_can_be_carried_out_is_sound(trigger):
    assert watching(trigger) is None


def test_a_schema_is_published_under_its_own_name():
    schema = Schema("claims", (Field("number"),))
    assert unsound("claims", record_schema.Publish(schema)) is None
    refused = unsound("others", record_schema.Publish(schema))
    assert refused == Refusal("schema_name_fixed", "the schema 'claims' cannot be published as 'others'")


def test_what_takes_no_library_is_not_looked_at():
    assert unsound("rule", automation.Pause()) is None
    assert automation.Pause not in LOOKED_AT


async def test_what_is_unsound_is_refused_on_the_record(core):
    """As any other refusal, and nothing else is written."""
    data = {"platform": "email", "name": "x", "calendar": {"time_zone": "Mars/Olympus", "country": "XX"}}
    request = CommandRequest(type="source.register", stream_id="unsound", data=msgspec.json.encode(data), id="u-1")
    outcome = await core.handler.handle(request, Caller())
    assert (outcome.outcome, outcome.refusal) == ("refused", "calendar_invalid")
    assert await core.store.load(StreamId("source", "unsound")) == []
