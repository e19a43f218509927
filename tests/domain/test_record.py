"""A record goes from stage to stage, is asked about, answered and completed, whatever comes in between."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from domain import record
from domain.decider import Refusal
from domain.record import Answers, Known
from tests.domain.record_story import ANALYSE, CHASE, ENRICH, question, score, take

Step = record.Command | str


def told(*steps: Any) -> tuple[record.State, tuple[record.Event, ...] | Refusal]:
    """The state after all steps, and what came of the last one; a step may be made of the state before it."""
    state, events = record.record.initial, ()
    for step in steps:
        events = record.decide(step(state) if callable(step) else step, state)
        if not isinstance(events, Refusal):
            state = record.record.fold(events, state)
    return state, events


def scored(*gaps: str, chase: Any = CHASE) -> Any:
    return lambda state: score(state, *gaps, chase=chase)


ASKED = (take(), ENRICH, ANALYSE, scored("total"), question(["total"]))


def types(events: Any) -> list[str]:
    return [type(event).__name__ for event in events]


def name(outcome: Any) -> str:
    assert isinstance(outcome, Refusal)
    return outcome.name


class TestStages:
    def test_follow_one_another(self) -> None:
        expected = ["enrich", "analyse", "score", None]
        for number, stage in enumerate(expected, 1):
            state, _ = told(*(take(), ENRICH, ANALYSE, scored())[:number])
            assert isinstance(state, Known)
            assert state.next == stage

    def test_a_message_that_is_delivered_again_changes_nothing(self) -> None:
        assert told(take(), take())[1] == ()

    def test_what_was_found_by_a_stage_that_is_over_changes_nothing(self) -> None:
        assert told(take(), ENRICH, ENRICH)[1] == ()
        assert told(take(), ANALYSE)[1] == ()

    def test_a_record_without_gaps_is_complete(self) -> None:
        assert types(told(take(), ENRICH, ANALYSE, scored())[1]) == ["Scored", "Persisted", "Completed"]

    def test_what_came_while_it_was_scored_is_scored_anew(self) -> None:
        state, _ = told(take(), ENRICH, ANALYSE)
        before = score(state)
        state, events = told(take(), ENRICH, ANALYSE, record.Correct("total", 5.0), before)
        assert events == ()
        assert isinstance(state, Known)
        assert state.next == "score"

    def test_one_that_fails_with_a_fallback_is_followed_by_the_next(self) -> None:
        failed = record.FailStage("enrich", "the reader crashed", True, "analysed as it came")
        state, events = told(take(), failed)
        assert types(events) == ["StageFailed"]
        assert isinstance(state, Known)
        assert state.next == "analyse"

    def test_what_was_scored_by_its_fields_alone_is_scored_anew_when_something_is_said(self) -> None:
        failed = record.FailStage("analyse", "no memory", True, "scored by what came as fields")
        scored_so = (take(), ENRICH, failed, scored("total"))
        for told_then in (record.Correct("total", 5.0), record.Answer({"total": 5.0}, by="r-2", number=1)):
            state, _ = told(*scored_so, told_then)
            assert isinstance(state, Known)
            assert state.next == "score"

    def test_one_that_fails_without_parks_the_record_until_it_is_retried(self) -> None:
        failed = record.FailStage("enrich", "the file is broken", True)
        state, events = told(take(), failed)
        assert types(events) == ["StageFailed", "Parked"]
        assert isinstance(state, Known)
        assert (state.next, state.parked and state.parked.reason) == (None, "the file is broken")
        state, _ = told(take(), failed, record.Retry())
        assert isinstance(state, Known)
        assert (state.next, state.parked) == ("enrich", None)

    def test_a_record_that_is_not_parked_begins_again_only_with_a_stage_that_is_named(self) -> None:
        done = (take(), ENRICH, ANALYSE, scored())
        assert name(told(*done, record.Retry())[1]) == "record_not_parked"
        state, _ = told(*done, record.Retry("analyse"))
        assert isinstance(state, Known)
        assert state.next == "analyse"
        assert name(told(take(), record.Retry("analyse"))[1]) == "record_in_work"


class TestQuestions:
    def test_gaps_are_asked_for(self) -> None:
        _, events = told(take(), ENRICH, ANALYSE, scored("total", "due"))
        assert not isinstance(events, Refusal)
        [_, _, requested] = events
        assert requested == record.FollowUpRequested(1, ("total", "due"), CHASE)

    def test_nobody_is_asked_where_no_answer_could_come_from(self) -> None:
        assert types(told(take(), ENRICH, ANALYSE, scored("total", chase=None))[1]) == ["Scored", "Persisted"]

    def test_an_answer_is_scored_and_completes_the_record(self) -> None:
        answer = record.Answer({"total": 5.0}, by="r-2", number=1)
        state, events = told(*ASKED, answer)
        assert events == (record.Answered(1, {"total": 5.0}, (), "r-2", False),)
        assert isinstance(state, Known)
        assert (state.next, state.said["total"].value, state.said["total"].origin) == ("score", 5.0, "answer")
        assert types(told(*ASKED, answer, scored())[1])[-1] == "Completed"

    def test_an_answer_that_opens_a_gap_is_followed_by_a_question_of_its_own(self) -> None:
        _, events = told(*ASKED, record.Answer({"total": 5.0}, by="r-2", number=1), scored("currency"))
        assert not isinstance(events, Refusal)
        assert events[-1] == record.FollowUpRequested(2, ("currency",), CHASE)

    def test_there_are_no_more_rounds_than_the_policy_says(self) -> None:
        first = (
            *ASKED,
            record.Answer({"total": 5.0}, by="r-2", number=1),
            scored("currency"),
            question(["currency"], 2),
        )
        _, events = told(*first, record.Answer({"currency": "EUR"}, by="r-3", number=2), scored("due"))
        assert types(events) == ["Scored", "Persisted"]

    def test_who_does_not_answer_is_not_asked_again_by_itself(self) -> None:
        expired = (*ASKED, record.Expire(1))
        assert told(*expired)[1] == (record.Expired(1, ("total",)),)
        again = told(*expired, record.Correct("due", "2026-03-31"), scored("total"))[1]
        assert types(again) == ["Scored", "Persisted"]
        assert types(told(*expired, record.StartFollowUp())[1]) == ["FollowUpRequested"]

    def test_an_answer_after_the_deadline_counts_and_is_late(self) -> None:
        state, events = told(*ASKED, record.Expire(1), record.Answer({"total": 5.0}, by="r-2", number=1))
        assert events == (record.Answered(1, {"total": 5.0}, (), "r-2", True),)
        assert isinstance(state, Known)
        assert (state.late, state.next) == (True, "score")

    def test_what_a_person_enters_is_never_late(self) -> None:
        state, _ = told(*ASKED, record.Expire(1), record.Answer({"total": 5.0}))
        assert isinstance(state, Known)
        assert not state.late

    def test_only_a_question_that_was_asked_can_be_answered(self) -> None:
        assert name(told(*ASKED, record.Answer({"total": 5.0}, by="r-2", number=2))[1]) == "question_unknown"
        assert name(told(take(), record.Answer({"total": 5.0}, number=1))[1]) == "question_unknown"

    def test_two_answers_that_cross_both_count(self) -> None:
        first = record.Answer({"total": 5.0}, by="r-2", number=1)
        state, events = told(*ASKED, first, record.Answer({"due": "2026-03-31"}, by="r-3", number=1))
        assert types(events) == ["Answered"]
        assert isinstance(state, Known)
        assert set(state.said) == {"total", "due"}

    def test_what_the_sender_refuses_is_kept_until_it_is_said_after_all(self) -> None:
        state, _ = told(*ASKED, record.Answer({}, ("total",), "r-2", 1))
        assert isinstance(state, Known)
        assert state.refused == ("total",)
        state, _ = told(*ASKED, record.Answer({}, ("total",), "r-2", 1), record.Answer({"total": 5.0}))
        assert isinstance(state, Known)
        assert state.refused == ()

    def test_an_answer_says_something_and_not_both(self) -> None:
        assert name(told(*ASKED, record.Answer())[1]) == "answer_empty"
        assert name(told(*ASKED, record.Answer({"total": 5.0}, ("total",)))[1]) == "answer_contradictory"

    def test_the_clock_stands_still_while_it_is_paused(self) -> None:
        state, _ = told(*ASKED, record.PauseFollowUp("on holiday"))
        assert isinstance(state, Known)
        assert state.follow_up is not None
        assert (state.follow_up.status, state.follow_up.open) == ("paused", True)
        assert types(told(*ASKED, record.PauseFollowUp(), record.ResumeFollowUp())[1]) == ["FollowUpResumed"]
        assert told(*ASKED, record.PauseFollowUp(), record.PauseFollowUp())[1] == ()
        assert name(told(take(), record.PauseFollowUp())[1]) == "follow_up_over"

    def test_what_is_complete_without_an_answer_ends_the_question(self) -> None:
        _, events = told(*ASKED, record.Correct("total", 5.0), scored())
        assert types(events) == ["Scored", "Persisted", "FollowUpEnded", "Completed"]
        assert name(told(*ASKED, record.Correct("total", 5.0), scored(), record.Expire(1))[1]) == "follow_up_over"

    def test_a_dismissed_record_is_asked_about_no_more(self) -> None:
        assert types(told(*ASKED, record.Dismiss("sent by mistake"))[1]) == ["FollowUpEnded", "Dismissed"]
        assert name(told(*ASKED, record.Dismiss("mistake"), record.Answer({"total": 1.0}))[1]) == "record_dismissed"


def test_only_what_is_there_can_be_acted_on() -> None:
    assert name(told(ENRICH)[1]) == "record_not_found"


COMMANDS = st.sampled_from(
    [
        take(),
        take(Answers("r-0", 1)),
        ENRICH,
        ANALYSE,
        scored(),
        scored("total"),
        scored("total", "due"),
        record.FailStage("enrich", "broken", True),
        record.FailStage("analyse", "broken", True, "scored by what came as fields"),
        record.Retry(),
        record.Retry("enrich"),
        record.Correct("total", 5.0),
        record.Answer({"total": 5.0}, by="r-2", number=1),
        record.Answer({}, ("total",)),
        record.StartFollowUp(),
        record.PauseFollowUp(),
        record.ResumeFollowUp(),
        record.Dismiss("no more"),
        question(["total"], 1),
        question(["total"], 2),
        record.ReportUnasked(1, "nobody there"),
        record.Expire(1),
        record.Expire(2),
    ]
)


@given(st.lists(COMMANDS, max_size=25))
def test_whatever_happens_one_question_is_open_at_most_and_each_has_a_number_of_its_own(steps: list[Any]) -> None:
    state = record.record.initial
    numbers: list[int] = []
    for step in steps:
        if callable(step) and not isinstance(state, Known):
            continue
        before = state
        events = record.decide(step(state) if callable(step) else step, state)
        if isinstance(events, Refusal):
            continue
        state = record.record.fold(events, state)
        if events:
            version = before.version if isinstance(before, Known) else 0
            assert isinstance(state, Known)
            assert state.version == version + len(events)
        for event in events:
            if isinstance(event, record.FollowUpRequested):
                assert not (isinstance(before, Known) and before.follow_up and before.follow_up.open)
                numbers.append(event.number)
    assert numbers == sorted(set(numbers)) == list(range(1, len(numbers) + 1))
