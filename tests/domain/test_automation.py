"""Rules that people write, and what is known of what they did."""

from __future__ import annotations

import msgspec
import pytest

from domain.automation import (
    SETS_ITSELF_OFF,
    Carried,
    Command,
    DatabasePoller,
    FileWatcher,
    Fire,
    Fired,
    GiveCommand,
    Known,
    Pause,
    Paused,
    ProcessDocument,
    Reach,
    Reached,
    Recover,
    Recovered,
    Register,
    Registered,
    Remove,
    Removed,
    Resume,
    Resumed,
    Scheduler,
    SendAlert,
    Stumble,
    Stumbled,
    automation,
)
from domain.event_trigger import EventTrigger
from tests.scenario import Scenario

SCANS = FileWatcher("/in", "*.pdf")
ORDERS = DatabasePoller("ORDERS_URL", "SELECT id FROM orders WHERE id > nullif($1::text, '')::int ORDER BY id", "id")
NIGHTLY = Scheduler("0 2 * * *", "Europe/Berlin")
PAYMENTS = EventTrigger(("payment.*",))
KEEP = (ProcessDocument("scans"),)
TELL = (SendAlert("ALERTS", "{file} has come"), GiveCommand("organization.register", data={"name": "{name}"}))
DONE = (Carried("process_document", "done", "r-1"),)
REGISTERED = Registered("Scans", SCANS, KEEP)


def rule() -> Scenario:
    return Scenario(automation)


class TestARule:
    def test_is_registered(self) -> None:
        rule().when(Register(SCANS, KEEP, "Scans")).then(REGISTERED)

    def test_that_is_registered_again_just_so_changes_nothing(self) -> None:
        rule().given(REGISTERED).when(Register(SCANS, KEEP, "Scans")).nothing_happens()

    @pytest.mark.parametrize(
        ("command", "event"),
        [
            (Register(SCANS, TELL, "Scans"), Registered("Scans", SCANS, TELL)),
            (Register(NIGHTLY, KEEP, "Scans"), Registered("Scans", NIGHTLY, KEEP)),
            (Register(SCANS, KEEP, "Post"), Registered("Post", SCANS, KEEP)),
            (Register(SCANS, KEEP, "Scans", parallel=True), Registered("Scans", SCANS, KEEP, parallel=True)),
        ],
    )
    def test_is_replaced(self, command: Command, event: Registered) -> None:
        rule().given(REGISTERED).when(command).then(event)

    def test_is_paused_and_resumed_once(self) -> None:
        rule().given(REGISTERED).when(Pause("inventory")).then(Paused("inventory"))
        rule().given(REGISTERED, Paused("inventory")).when(Pause("again")).nothing_happens()
        rule().given(REGISTERED, Paused("inventory")).when(Resume()).then(Resumed())
        rule().given(REGISTERED).when(Resume()).nothing_happens()

    def test_is_removed_and_then_can_only_be_registered_anew(self) -> None:
        rule().given(REGISTERED).when(Remove()).then(Removed())
        for command in (Pause(), Resume(), Remove()):
            rule().given(REGISTERED, Removed()).when(command).refused("automation_removed")
        rule().given(REGISTERED, Removed()).when(Register(SCANS, KEEP, "Scans")).then(REGISTERED)

    @pytest.mark.parametrize(
        "command", [Pause(), Resume(), Remove(), Fire("1", "a file", DONE), Reach("7"), Stumble("x"), Recover()]
    )
    def test_that_nobody_registered_is_not_found(self, command: Command) -> None:
        rule().when(command).refused("automation_not_found")

    def test_stays_paused_when_it_is_replaced_but_not_when_it_begins_anew(self) -> None:
        other = Registered("Scans", SCANS, TELL)
        assert not known(REGISTERED, Paused(""), other).active
        assert known(REGISTERED, Paused(""), Removed(), other).active


@pytest.mark.parametrize(
    ("given", "seconds"), [({"every": "15m"}, 900), ({"every": 90}, 90), ({"every": "2d"}, 172_800), ({}, None)]
)
def test_an_interval_is_told_with_its_unit_or_in_seconds(given: dict[str, object], seconds: int | None) -> None:
    trigger = msgspec.convert({"type": "time_scheduler", **given}, Scheduler)
    assert trigger.seconds == seconds


class TestWhatOccurs:
    def test_is_told_with_what_was_done(self) -> None:
        rule().given(REGISTERED).when(Fire("1", "/in/a.pdf", DONE)).then(Fired("1", "/in/a.pdf", DONE, None))

    def test_is_told_once(self) -> None:
        rule().given(REGISTERED, Fired("1", "/in/a.pdf", DONE, None)).when(Fire("1", "", DONE)).nothing_happens()

    @pytest.mark.parametrize("meanwhile", [Paused(""), Removed()])
    def test_is_told_even_if_the_rule_was_stopped_meanwhile(self, meanwhile: Paused | Removed) -> None:
        """It was done: the record must not say otherwise."""
        rule().given(REGISTERED, meanwhile).when(Fire("1", "a", DONE)).then(Fired("1", "a", DONE, None))

    def test_moves_the_cursor_and_what_has_none_leaves_it(self) -> None:
        state = known(Registered("", ORDERS, KEEP), Fired("1", "", DONE, "17"), Fired("2", "", DONE, None))
        assert state.cursor == "17"

    def test_is_remembered_for_a_while(self) -> None:
        state = known(REGISTERED, *(Fired(str(number), "", DONE, None) for number in range(80)))
        assert state.latest == tuple(str(number) for number in range(30, 80))


class TestTheCursor:
    def test_stays_when_only_the_actions_or_the_pace_change(self) -> None:
        slower = msgspec.structs.replace(ORDERS, every=60.0)
        state = known(Registered("", ORDERS, KEEP), Fired("1", "", DONE, "17"), Registered("", slower, TELL))
        assert (state.cursor, state.trigger.every, state.actions) == ("17", 60.0, TELL)

    @pytest.mark.parametrize("trigger", [msgspec.structs.replace(ORDERS, query="SELECT $1::text AS id"), NIGHTLY])
    def test_begins_anew_with_another_trigger(self, trigger: DatabasePoller | Scheduler) -> None:
        state = known(Registered("", ORDERS, KEEP), Fired("1", "", DONE, "17"), Registered("", trigger, KEEP))
        assert (state.cursor, state.latest) == (None, ("1",))

    def test_is_not_moved_by_what_another_trigger_still_had_under_way(self) -> None:
        given = Registered("", ORDERS, KEEP), Registered("", NIGHTLY, KEEP)
        rule().given(*given).when(Fire("9", "row", DONE, "17", triggers=1)).then(Fired("9", "row", DONE, None))
        rule().given(*given).when(Fire("9", "moment", DONE, "17", triggers=2)).then(Fired("9", "moment", DONE, "17"))


class TestAPositionInTheLog:
    GIVEN = Registered("", PAYMENTS, KEEP)

    def test_moves_although_nothing_occurred(self) -> None:
        rule().given(self.GIVEN).when(Reach("700")).then(Reached("700"))
        assert known(self.GIVEN, Reached("700")).cursor == "700"

    def test_never_moves_back(self) -> None:
        """By a process that is behind, say."""
        given = self.GIVEN, Fired("1", "a", DONE, "1000")
        rule().given(*given).when(Reach("700")).nothing_happens()
        rule().given(*given).when(Fire("2", "b", DONE, "999")).then(Fired("2", "b", DONE, None))
        rule().given(*given).when(Fire("2", "b", DONE, "1001")).then(Fired("2", "b", DONE, "1001"))

    def test_is_not_moved_by_what_another_trigger_still_had_under_way(self) -> None:
        given = Registered("", NIGHTLY, KEEP), self.GIVEN
        rule().given(*given).when(Reach("700", triggers=1)).nothing_happens()
        rule().given(*given).when(Reach("700", triggers=2)).then(Reached("700"))


class TestTrouble:
    def test_is_told_once_for_each_reason_until_it_is_over(self) -> None:
        rule().given(REGISTERED).when(Stumble("no place")).then(Stumbled("no place"))
        rule().given(REGISTERED, Stumbled("no place")).when(Stumble("no place")).nothing_happens()
        rule().given(REGISTERED, Stumbled("no place")).when(Stumble("no file")).then(Stumbled("no file"))
        rule().given(REGISTERED, Stumbled("no place")).when(Recover()).then(Recovered())
        rule().given(REGISTERED).when(Recover()).nothing_happens()
        rule().given(REGISTERED, Stumbled("x"), Recovered()).when(Stumble("x")).then(Stumbled("x"))

    @pytest.mark.parametrize("over", [Paused(""), Removed(), Registered("Scans", SCANS, TELL)])
    def test_is_over_with_what_was_in_it(self, over: Paused | Removed | Registered) -> None:
        assert known(REGISTERED, Stumbled("no place"), over).trouble == ""

    def test_of_a_rule_that_sets_itself_off_is_over_with_that_rule_only(self) -> None:
        loops = Stumbled(SETS_ITSELF_OFF)
        rule().given(REGISTERED, loops).when(Recover()).nothing_happens()
        rule().given(REGISTERED, loops).when(Stumble(SETS_ITSELF_OFF)).nothing_happens()
        assert known(REGISTERED, loops, Registered("Scans", SCANS, TELL)).trouble == ""

    @pytest.mark.parametrize("meanwhile", [Paused(""), Removed()])
    def test_of_what_is_not_to_be_carried_out_is_none(self, meanwhile: Paused | Removed) -> None:
        rule().given(REGISTERED, meanwhile).when(Stumble("no place")).nothing_happens()
        rule().given(REGISTERED, meanwhile).when(Reach("7")).nothing_happens()


@pytest.mark.parametrize(
    "document",
    [
        {"trigger": {"type": "file_watcher", "path": "in"}, "actions": [{"type": "process_document", "source": "s"}]},
        {"trigger": {"type": "file_watcher", "path": "/in"}, "actions": []},
        {"trigger": {"type": "file_watcher", "path": "/in", "evry": 1}, "actions": [{"type": "x"}]},
        {"trigger": {"type": "time_scheduler", "cron": "* * * * *"}, "actions": [{"type": "send_alert", "text": "a"}]},
        {"trigger": {"type": "time_scheduler", "every": "15 m"}, "actions": [{"type": "invoke_skill", "skill": "s"}]},
        {"trigger": {"type": "time_scheduler", "every": 0}, "actions": [{"type": "invoke_skill", "skill": "s"}]},
        {
            "trigger": {"type": "time_scheduler", "at": "2026-12-01T08:00:00"},
            "actions": [{"type": "invoke_skill", "skill": "s"}],
        },
        {
            "trigger": {
                "type": "database_poller",
                "database": "postgresql://ann:secret@host",
                "query": "q",
                "cursor": "i",
            },
            "actions": [{"type": "process_document", "source": "s"}],
        },
        {"trigger": {"type": "event", "types": []}, "actions": [{"type": "process_document", "source": "s"}]},
        {
            "trigger": {"type": "event", "types": ["a"], "when": "x"},
            "actions": [{"type": "invoke_skill", "skill": "s"}],
        },
        {"trigger": {"type": "event", "types": ["a"]}, "actions": [{"type": "invoke_agent", "agent": "@@x"}]},
        {"trigger": {"type": "event", "types": ["a"]}, "actions": [{"type": "start_workflow", "input": 1}]},
    ],
)
def test_what_is_no_rule_is_no_command(document: dict[str, object]) -> None:
    """Nor are secrets: they stand in variables."""
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert({"type": "automation.register", **document}, Register)


def known(*events: object) -> Known:
    state = automation.fold(events)  # type: ignore[arg-type]
    assert isinstance(state, Known)
    return state
