"""The follow-up saga on the real runner and the real log: questions are received on this machine, and time passes when
it is told to.
"""

import asyncio
from datetime import timedelta

import pytest

from domain import record, saga, source
from domain.record import Answers
from domain.source import Calendar
from eventstore.envelope import StreamId
from sagas.timers import FARTHEST
from tests.sagas.chases import DEADLINE, REMINDER, THURSDAY, chasing, days, running, standing_by

SECOND = timedelta(seconds=1)


async def test_one_message_asks_for_all_gaps_and_an_answer_ends_it(log_url):
    async with chasing(log_url, "answered") as chase:
        await chase.asked()
        [taken] = chase.receiver.taken
        assert taken.to == "answered-chat"
        assert "(reference: answered)" in taken.text
        assert "1. How old are you?\n2. What is the name?" in taken.text
        [asked] = await chase.told(record.Asked)
        assert (asked.external_id, asked.channel, asked.question.text) == ("answered-chat:1", "telegram", taken.text)
        assert (asked.remind_at, asked.deadline) == (REMINDER, DEADLINE), "by the calendar of Berlin"
        assert await chase.match() == Answers("answered", 1)
        await chase.answer()
        assert (await chase.ended()).outcome == "completed"
        assert await chase.match() is None
        assert await chase.match(1) == Answers("answered", 1)
        await chase.clock.advance(DEADLINE)
        assert len(chase.receiver.taken) == 1


async def test_there_is_one_reminder_and_at_the_deadline_it_expires(log_url):
    async with chasing(log_url, "expired") as chase:
        await chase.asked()
        await chase.clock.advance(REMINDER - SECOND)
        assert await chase.due() == [REMINDER], "it has not fired yet"
        await chase.clock.advance(REMINDER)
        await chase.step("await")
        assert "A short reminder" in chase.receiver.taken[1].text
        assert await chase.match(2) == Answers("expired", 1)
        assert len(chase.receiver.taken) == 2
        await chase.clock.advance(DEADLINE - SECOND)
        assert set(await chase.due()) == {DEADLINE}
        await chase.clock.advance(DEADLINE)
        await chase.ended()
        assert await chase.told(record.Expired) == [record.Expired(1, ("age", "name"))]
        assert len(chase.receiver.taken) == 2


async def test_the_reminder_asks_for_what_is_still_missing(log_url):
    async with chasing(log_url, "partly") as chase:
        await chase.asked()
        await chase.tell(record.Correct("age", 7))
        await chase.rescored(("name",))
        await chase.clock.advance(REMINDER)
        await chase.step("await")
        assert "What is the name?" in chase.receiver.taken[1].text
        assert "How old" not in chase.receiver.taken[1].text


async def test_an_answer_after_its_time_is_late_and_asks_nothing(log_url):
    async with chasing(log_url, "late") as chase:
        await chase.reminded()
        await chase.clock.advance(DEADLINE)
        await chase.ended()
        answers = await chase.match(1)
        assert answers == Answers("late", 1)
        await chase.answer(answers.number)
        assert [event.late for event in await chase.told(record.Answered)] == [True]
        await chase.rescored()
        assert (await chase.record()).completed
        assert len(chase.receiver.taken) == 2


async def test_of_two_answers_the_second_is_late(log_url):
    async with chasing(log_url, "twice") as chase:
        await chase.asked()
        await chase.answer(age=7)
        await chase.ended()
        await chase.answer(name="Ann")
        assert [event.late for event in await chase.told(record.Answered)] == [False, True]
        assert set((await chase.record()).said) == {"age", "name"}


async def test_an_answer_that_crosses_the_reminder_ends_it(log_url):
    """The reminder is received, and whether it was is not known yet; a reply to it is known later on all the same."""
    async with chasing(log_url, "crossed") as chase:
        await chase.asked()
        chase.receiver.hold = True
        chase.receiver.came.clear()
        await chase.clock.advance(REMINDER)
        await asyncio.wait_for(chase.receiver.came.wait(), 10)
        await chase.answer()
        await chase.step("settle")
        chase.receiver.release()
        ended = await chase.ended()
        assert {effect.step: effect.status for effect in ended.effects} == {"ask": "kept", "remind": "kept"}
        assert await chase.told(record.Reminded) == []
        assert await chase.match(2) == Answers("crossed", 1)


async def test_an_answer_by_hand_before_the_question_is_known_to_be_sent(log_url):
    """The saga has not heard of it when it wants to report: the record refuses, and the question is settled."""
    async with chasing(log_url, "faster") as chase:

        async def answered(also):
            if any(getattr(event, "step", "") == "wait" for event in also.events):
                chase.tell_before = None
                await chase.answer()

        chase.tell_before = answered
        await chase.prepare()
        await chase.ended()
        assert await chase.told(record.Asked) == []
        assert len(chase.receiver.taken) == 1
        assert await chase.match(1) == Answers("faster", 1)


async def test_an_answer_that_opens_a_new_gap_is_asked_about(log_url):
    async with chasing(log_url, "again") as chase:
        await chase.asked()
        await chase.answer(age=7)
        await chase.rescored(("name",))
        await chase.ended(1)
        await chase.step("wait", 2)
        assert "What is the name?" in chase.receiver.taken[1].text
        assert "1." not in chase.receiver.taken[1].text
        assert await chase.match() == Answers("again", 2)
        assert await chase.match(1) == Answers("again", 1)
        await chase.answer(2, name="Ann")
        await chase.rescored()
        await chase.ended(2)
        assert (await chase.record()).completed


async def test_while_it_is_paused_nothing_happens_and_then_what_was_left(log_url):
    """Paused on Thursday at eleven in Berlin, resumed on the Monday after next at nine."""
    async with chasing(log_url, "paused") as chase:
        await chase.asked()
        await chase.clock.advance(THURSDAY + timedelta(hours=2))
        await chase.tell(record.PauseFollowUp("on holiday"))
        await chase.step("paused")
        resumed = THURSDAY + days(11) - timedelta(hours=1)
        await chase.clock.advance(resumed)
        assert await chase.due() == [], "the timer of before has fired, to no effect"
        await chase.tell(record.ResumeFollowUp())
        await chase.step("wait")
        assert len(chase.receiver.taken) == 1
        deadline = resumed + days(2) + timedelta(hours=6)
        assert await chase.told(record.Rescheduled) == [record.Rescheduled(1, resumed + timedelta(hours=6), deadline)]
        await chase.clock.advance(resumed + timedelta(hours=6))
        await chase.step("await")
        await chase.clock.advance(deadline)
        await chase.ended()
        assert len(await chase.told(record.Expired)) == 1


async def test_a_pause_that_passed_while_nobody_was_awake_counts(log_url):
    """The timer of before fires first; nothing expires by it."""
    async with standing_by(log_url, "asleep") as chase:
        async with running(chase):
            await chase.reminded()
        await chase.clock.advance(REMINDER + timedelta(hours=16))
        await chase.tell(record.PauseFollowUp())
        await chase.clock.advance(DEADLINE + days(7))
        await chase.tell(record.ResumeFollowUp())
        async with running(chase):
            rescheduled = await chase.until(lambda: chase.told(record.Rescheduled), bool)
            await chase.step("await")
        # On Friday at nine sixteen hours were left.
        assert [event.deadline for event in rescheduled] == [DEADLINE + days(9)]
        assert await chase.told(record.Expired) == []
        async with running(chase):
            await chase.clock.advance(DEADLINE + days(9))
            await chase.ended()


async def test_who_cannot_be_reached_is_not_waited_for(log_url):
    async with chasing(log_url, "blocked") as chase:
        chase.receiver.status = 403
        await chase.prepare()
        await chase.ended()
        assert await chase.told(record.FollowUpEnded) == [record.FollowUpEnded(1, "403 not now")]
        assert await chase.told(record.Asked) == []


@pytest.mark.parametrize(
    ("calendar", "why"),
    [
        (Calendar("Mars/Olympus"), "there is no time zone 'Mars/Olympus'"),
        (Calendar(country="XX"), "no holidays are known of a country 'XX'"),
    ],
)
async def test_by_a_calendar_that_nobody_knows_nobody_is_asked(log_url, calendar, why):
    async with chasing(log_url, f"nowhere-{calendar.country or 'mars'}") as chase:
        await chase.prepare(calendar)
        await chase.ended()
        assert await chase.told(record.FollowUpEnded) == [record.FollowUpEnded(1, why)]
        assert chase.receiver.taken == []


async def test_a_source_that_is_closed_asks_nothing(log_url):
    async with standing_by(log_url, "closed") as chase:
        await chase.prepare()
        await chase.direct("source", "closed-bot", source.Close())
        async with running(chase):
            await chase.ended()
        [ended] = await chase.told(record.FollowUpEnded)
        assert ended.reason == "the source closed-bot is closed, or there is none"


async def test_a_platform_that_is_away_is_tried_again_and_then_waits_for_a_person(log_url):
    async with chasing(log_url, "away") as chase:
        chase.receiver.status = 503
        await chase.prepare()
        state = await chase.until(chase.saga, lambda state: getattr(state, "paused", None))
        assert state.paused == "ask: 503 not now (after 3 attempts)"
        chase.receiver.status = 200
        await chase.direct("saga", "follow-up-away-1", saga.Resume())
        await chase.step("wait")
        assert len(chase.receiver.taken) == 1


async def test_a_reminder_that_cannot_be_sent_does_not_stop_the_clock(log_url):
    async with chasing(log_url, "unreminded") as chase:
        await chase.asked()
        chase.receiver.status = 503
        await chase.clock.advance(REMINDER)
        await chase.until(chase.saga, lambda state: getattr(state, "attempts", 0) >= 3)
        await chase.until(chase.due, lambda due: due == [DEADLINE])
        await chase.clock.advance(DEADLINE)
        ended = await chase.ended()
        assert {effect.step: effect.status for effect in ended.effects} == {"ask": "kept", "remind": "waived"}
        assert len(await chase.told(record.Expired)) == 1


async def test_a_log_that_is_away_right_after_the_sending_makes_nothing_be_sent_twice(log_url):
    async with chasing(log_url, "outage") as chase:

        async def away(also):
            if any(getattr(event, "step", "") == "wait" for event in also.events):
                chase.lost, chase.tell_before = 1, None

        chase.tell_before = away
        await chase.asked()
        assert chase.lost == 0
        assert len(chase.receiver.taken) == 1


async def test_a_dismissed_record_asks_no_more(log_url):
    async with chasing(log_url, "dismissed") as chase:
        await chase.asked()
        await chase.tell(record.Dismiss("not ours"))
        await chase.ended()
        await chase.clock.advance(DEADLINE)
        assert len(chase.receiver.taken) == 1


async def test_a_deadline_that_is_farther_than_a_timer_reaches(log_url):
    """The stream of timers forgets after 90 days: until then one is set after the other."""
    async with chasing(log_url, "far") as chase:
        await chase.prepare(clock="all", remind_after=2_000, expire_after=2_000)
        await chase.step("await")
        assert await chase.due() == [THURSDAY + FARTHEST]
        await chase.clock.advance(THURSDAY + FARTHEST)
        deadline = THURSDAY + timedelta(hours=2_000)
        [due] = await chase.until(chase.due, bool)
        assert abs(due - deadline) < SECOND
        assert (await chase.saga()).step == "await"
        await chase.clock.advance(deadline)
        await chase.ended()
        assert len(await chase.told(record.Expired)) == 1


async def test_what_the_saga_writes_has_the_time_of_its_clock(log_url):
    async with chasing(log_url, "clock") as chase:
        await chase.reminded()
        stored = await chase.core.store.load(StreamId("saga", "follow-up-clock-1"), latest=True)
        assert {event.time for event in stored} == {THURSDAY, REMINDER}
