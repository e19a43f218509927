"""The follow-up saga as a pure process: whatever happens, in whatever order, one question has one end."""

from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import structs

from domain import conversation, record, saga
from domain.record import Answers
from domain.source import FollowUpPolicy
from eventstore.subjects import is_valid_id
from sagas.definition import Cancelled, Exhausted, Heard, Refused, Rejected, Stumbled, TimedOut, Unreachable
from sagas.follow_up import listens, plan, saga_id
from sagas.follow_up_course import follow_up_of
from tests.sagas.questions import CHASE, CONVERSATION, KEYS, MONDAY, Said, World, hours, scored

ANSWER = record.Answer({"age": 7}, number=1)
NO_REMINDER = structs.replace(CHASE, policy=FollowUpPolicy(remind_after=24, expire_after=24))


def asked():
    return World().run()


def reminded():
    return asked().pass_until(MONDAY + hours(8))


class TestAsking:
    def test_the_question_the_record_and_the_conversation_are_one_write(self):
        world = asked()
        assert world.state.step == "wait"
        assert [type(command) for command in world.told] == [record.ReportAsked, conversation.Open]
        assert world.status == "waiting"
        assert conversation.match(world.conversation, None) == Answers("r1", 1)

    def test_it_waits_until_the_reminder_is_due(self):
        assert asked().state.timeout == 8 * 3600

    def test_nothing_is_sent_when_it_is_over_before(self):
        world = World()
        world.say(ANSWER)
        world.run()
        assert world.sent == []
        world.assert_over()

    def test_an_answer_while_the_question_is_on_its_way_wins(self):
        """By hand, say. The question went out: who replies to it is known to answer it."""
        world = World()

        def answered_meanwhile(what):
            outcome = world.done(what)
            if what.step == "ask":
                world.say(ANSWER)
            return outcome

        world.run(answered_meanwhile)
        assert world.refused == ["follow_up_over"]
        assert world.statuses() == {"ask": "kept"}
        assert world.events(record.Asked) == []
        assert conversation.match(world.conversation, "t1") == Answers("r1", 1)
        world.assert_over()

    def test_a_question_that_was_interrupted_is_settled(self):
        """The saga hears of the answer, and gives the sending up, which goes on all the same."""
        world = World()
        world.step()
        world.step(lambda what: world.send(what) and None)
        world.person(ANSWER)
        world.run().assert_over()
        assert conversation.match(world.conversation, "t1") == Answers("r1", 1)

    @pytest.mark.parametrize("outcome", [Rejected, Unreachable])
    def test_who_cannot_be_asked_is_not_waited_for(self, outcome):
        world = World().run(lambda what: outcome(what, "blocked by the user" * 100))
        assert world.statuses() == {"ask": "undone"}
        [ended] = world.events(record.FollowUpEnded)
        assert len(ended.reason) == 1_000
        world.assert_over()

    def test_a_platform_that_is_away_pauses_it_until_a_person_resumes(self):
        world = World().run(lambda what: Exhausted(what, "away (after 6 attempts)"))
        assert world.state.paused == "ask: away (after 6 attempts)"
        assert world.statuses() == {"ask": "unknown"}
        world.resume_saga()
        world.run()
        assert (world.state.step, world.statuses()) == ("wait", {"ask": "kept"})

    def test_an_answer_ends_a_paused_one(self):
        world = World().run(lambda what: Exhausted(what, "away"))
        world.person(ANSWER)
        world.run().assert_over()
        assert world.statuses() == {"ask": "waived"}


class TestWaiting:
    def test_an_answer_ends_it(self):
        world = asked()
        world.person(ANSWER)
        world.assert_over()
        assert world.state.outcome == "completed"

    def test_it_is_reminded_of_once(self):
        world = reminded()
        assert world.sent == [KEYS["ask"], KEYS["remind"]]
        assert world.state.step == "await"
        assert world.state.timeout == (48 + 8 - 8) * 3600, "until Wednesday at five"
        world.timer("wait")
        world.timer("remind")
        assert world.run().sent == [KEYS["ask"], KEYS["remind"]]

    def test_at_the_deadline_it_expires(self):
        world = reminded()
        world.pass_until(MONDAY + hours(56))
        assert world.events(record.Expired) == [record.Expired(1, ("age", "name"))]
        world.assert_over()

    def test_without_a_reminder_it_expires_all_the_same(self):
        world = World(NO_REMINDER).run()
        assert world.state.step == "await"
        world.pass_until(MONDAY + hours(56)).assert_over()
        assert world.sent == [KEYS["ask"]]

    def test_when_everything_slept_until_after_the_deadline_nobody_is_reminded(self):
        world = asked()
        world.pass_until(MONDAY + hours(100)).assert_over()
        assert world.sent == [KEYS["ask"]]
        assert world.events(record.Expired)

    def test_a_reply_to_the_reminder_answers_the_question_also_when_it_is_over(self):
        world = reminded()
        world.pass_until(MONDAY + hours(56))
        assert conversation.match(world.conversation, "t2") == Answers("r1", 1)
        assert conversation.match(world.conversation, None) is None

    @pytest.mark.parametrize("end", [record.Dismiss("not ours"), scored((), None, 5)])
    def test_what_is_not_needed_any_more_ends_it(self, end):
        world = asked()
        if isinstance(end, record.Score):
            world.say(record.Correct("age", 7))
            end = scored((), None, world.record.version)
        world.person(end)
        assert world.events(record.FollowUpEnded)
        world.assert_over()

    def test_a_cancellation_is_for_other_sagas(self):
        world = asked()
        before = world.state
        world.tell(Cancelled("enough"))
        assert world.state == before


class TestTheReminder:
    def test_an_answer_that_crosses_it_ends_it_and_a_reply_to_it_is_known(self):
        world = asked()
        world.now += hours(8)
        world.timer()
        world.step()
        world.step(lambda what: world.send(what) and None)
        world.person(ANSWER)
        world.run().assert_over()
        assert world.statuses() == {"ask": "kept", "remind": "kept"}
        assert world.events(record.Reminded) == []
        assert conversation.match(world.conversation, "t2") == Answers("r1", 1)

    def test_an_answer_that_it_has_not_heard_of_ends_it_too(self):
        world = asked()
        world.now += hours(8)
        world.timer()

        def crossed(what):
            outcome = world.done(what)
            if what.step == "remind":
                world.say(ANSWER)
            return outcome

        world.run(crossed).assert_over()
        assert world.refused == ["follow_up_over"]
        assert world.statuses() == {"ask": "kept", "remind": "kept"}

    def test_one_that_cannot_be_sent_leaves_the_rest_of_the_time(self):
        world = asked()
        world.now += hours(8)
        world.timer()
        world.run(lambda what: Rejected(what, "blocked") if what.step == "remind" else world.done(what))
        assert (world.state.step, world.state.timeout) == ("await", 48 * 3600)
        assert world.statuses() == {"ask": "kept", "remind": "undone"}
        world.pass_until(MONDAY + hours(56)).assert_over()

    def test_one_that_nobody_knows_to_be_sent_is_not_sent_again(self):
        world = asked()
        world.now += hours(8)
        world.timer()
        world.run(lambda what: Exhausted(what, "no answer") if what.step == "remind" else world.done(what))
        assert (world.state.step, world.state.paused) == ("await", None)
        world.pass_until(MONDAY + hours(56)).assert_over()
        assert world.statuses() == {"ask": "kept", "remind": "waived"}

    def test_one_that_fails_until_the_deadline_is_given_up(self):
        world = asked()
        world.now += hours(8)
        world.timer()
        for number in range(1, 10):
            while plan(world.state).step != "remind":
                world.step()
            world.step(lambda what, number=number: Stumbled(what, number, 60, "away"))
        assert world.state.attempts == 9
        world.pass_until(MONDAY + hours(56)).assert_over()
        assert world.statuses() == {"ask": "kept", "remind": "waived"}
        assert world.events(record.Expired)


class TestPausing:
    def test_the_clock_stands_still_and_goes_on_with_what_was_left(self):
        """Paused on Monday at eleven with six hours to the reminder, resumed on Thursday at nine."""
        world = asked()
        world.now += hours(2)
        world.person(record.PauseFollowUp("holidays"))
        assert world.run().state.step == "paused"
        world.now = MONDAY + hours(72)
        world.timer("wait")
        assert world.run().state.step == "paused"
        world.person(record.ResumeFollowUp())
        world.run()
        assert (world.state.step, world.state.timeout) == ("wait", 6 * 3600)
        deadline = MONDAY + hours(7 * 24 + 6)
        assert world.events(record.Rescheduled) == [record.Rescheduled(1, MONDAY + hours(78), deadline)]
        world.pass_until(MONDAY + hours(78))
        assert world.sent[-1] == KEYS["remind"]
        world.pass_until(deadline - timedelta(seconds=1))
        assert world.state.step == "await", "the timer came a second too soon"
        world.pass_until(deadline).assert_over()

    def test_nothing_expires_by_a_timer_that_comes_before_the_news(self):
        world = reminded()
        world.say(record.PauseFollowUp())
        world.pass_until(MONDAY + hours(500))
        assert (world.state.step, world.status) == ("paused", "paused")
        world.hear()
        world.person(record.ResumeFollowUp())
        assert world.run().state.step == "await"

    def test_a_pause_and_its_end_that_are_heard_of_late_count_as_they_were(self):
        """Nobody was awake meanwhile; then the timer comes first."""
        world = reminded()
        world.say(record.PauseFollowUp())
        world.now = MONDAY + hours(24 * 7)
        world.say(record.ResumeFollowUp())
        world.pass_until(MONDAY + hours(24 * 7))
        assert (world.state.step, world.events(record.Expired)) == ("await", [])
        assert world.due.deadline == MONDAY + hours(24 * 8 + 8)
        world.hear()
        world.run()
        assert len(world.events(record.Rescheduled)) == 1

    def test_two_pauses_that_are_heard_of_late_count_both(self):
        """Two hours on Monday, then two on Tuesday, and only then somebody is awake."""
        world = asked()
        for day in (0, 24):
            world.now = MONDAY + hours(day + 1)
            world.say(record.PauseFollowUp())
            world.now += hours(2)
            world.say(record.ResumeFollowUp())
        world.hear()
        world.run()
        assert world.events(record.Rescheduled) == [record.Rescheduled(1, MONDAY + hours(28), MONDAY + hours(76))]

    @pytest.mark.parametrize("order", [(0, 0), (1, 0)])
    def test_the_order_in_which_they_are_heard_of_does_not_matter(self, order):
        world = asked()
        world.say(record.PauseFollowUp())
        world.now += hours(24)
        world.say(record.ResumeFollowUp())
        for place in order:
            world.hear_one(place)
            world.run()
        assert (world.state.step, world.state.timeout) == ("wait", 8 * 3600)

    def test_news_that_come_during_a_look_begin_it_again(self):
        world = asked()
        world.person(record.PauseFollowUp())
        seen = world.done(plan(world.state))
        first = plan(world.state)
        world.person(record.ResumeFollowUp())
        assert plan(world.state) != first
        assert seen.what == first
        world.run()
        assert world.state.step == "wait"

    def test_one_that_is_paused_again_while_its_end_is_followed_stays_paused(self):
        world = asked()
        world.person(record.PauseFollowUp())
        world.run()
        world.now += hours(24)
        world.say(record.ResumeFollowUp())
        world.hear()

        def paused_again(what):
            outcome = world.done(what)
            world.say(record.PauseFollowUp())
            return outcome

        world.step(paused_again)
        assert world.refused == ["follow_up_paused"]
        world.run()
        world.hear()
        assert (world.run().state.step, world.status) == ("paused", "paused")

    def test_an_answer_ends_a_paused_question(self):
        world = asked()
        world.person(record.PauseFollowUp())
        world.run()
        world.person(ANSWER)
        world.assert_over()

    def test_a_reminder_is_not_sent_while_the_record_is_paused(self):
        world = asked()
        world.now += hours(8)
        world.timer()
        world.step()
        assert plan(world.state).step == "remind"
        world.say(record.PauseFollowUp())
        assert world.run().state.step == "paused"
        assert world.sent == [KEYS["ask"]]


class TestWhatIsLateOrTwice:
    def test_a_timer_of_another_step_leaves_no_trace(self):
        world = reminded()
        before = world.state
        for step in ("ask", "wait", "remind", "look", "paused", "settle"):
            world.timer(step)
        assert world.state == before

    def test_news_of_what_is_being_settled_leave_none_either(self):
        world = World()
        world.step()
        world.step(lambda what: world.send(what) and None)
        world.person(ANSWER)
        before = world.state
        assert before.step == "settle"
        for event in (
            record.Answered(1, {}, (), None, False),
            record.FollowUpEnded(1, ""),
            record.FollowUpPaused(1, ""),
        ):
            world.tell(Heard(event))
        assert world.state == before
        world.run().assert_over()


class TestPeople:
    def test_what_no_rule_foresees_waits_for_a_person(self):
        world = reminded()
        world.now += hours(100)
        world.timer()
        world.tell(Refused("no_such_rule", "never heard of"))
        assert world.state.paused == "no_such_rule: never heard of"
        world.resume_saga()
        world.run().assert_over()

    def test_news_during_that_pause_are_not_lost(self):
        world = reminded()
        world.tell(Refused("no_such_rule", "never heard of"))
        world.person(record.PauseFollowUp())
        world.resume_saga()
        assert world.run().state.step == "paused"


class TestListening:
    def test_each_saga_hears_of_its_own_question(self):
        answered = record.Answered(2, {}, ("age",), None, False)
        assert listens(Said(), answered) == ("follow-up-r1-2", Heard(answered))
        ended = record.FollowUpEnded(3, "")
        assert listens(Said(), ended) == ("follow-up-r1-3", Heard(ended))

    @pytest.mark.parametrize(
        "event",
        [
            record.Answered(2, {}, ("age",), None, True),
            record.Answered(None, {}, ("age",), None, False),
            record.Reminded(1, "t2"),
            record.Expired(1, ()),
            record.Dismissed("enough"),
            record.Corrected("age", 7, ""),
        ],
        ids=lambda event: f"{type(event).__name__}{' late' if getattr(event, 'late', False) else ''}",
    )
    def test_to_nothing_else(self, event):
        assert listens(Said(), event) is None

    def test_the_saga_carries_all_that_was_asked_for(self):
        _, started = listens(Said(), record.FollowUpRequested(3, ("age",), CHASE))
        state = saga.evolve(saga.NotStarted(), started)
        follow_up = follow_up_of(state)
        assert (follow_up.record_id, follow_up.number, follow_up.gaps, follow_up.chase) == ("r1", 3, ("age",), CHASE)
        assert (state.kind, state.subject, state.steps) == (
            "follow-up",
            "record/r1",
            ("ask", "wait", "remind", "await"),
        )

    def test_the_longest_ids_fit(self):
        """A command's id is made of the saga's, the version of its stream, and the command's name."""
        longest = saga_id("r" * 80, 99)
        reports = (record.ReportAsked, record.ReportReminded, record.ReportRescheduled, record.ReportUnasked)
        commands = (*reports, record.Expire, *conversation.Command.__args__)
        tags = [each.__struct_config__.tag.partition(".")[2] for each in commands]
        assert all(is_valid_id(f"{longest}-9999-9-{name}") for name in tags)
        assert is_valid_id(CONVERSATION)


performed = st.sampled_from(["done"] * 6 + ["rejected", "stumbled", "exhausted", "interrupted", "crossed", "crashed"])
happens = st.sampled_from(
    [None] * 6
    + ["answer", "unheard answer", "pause", "resume", "unheard pause", "unheard resume", "dismiss", "heard again"]
    + ["hear", "hear last", "timer", "old timer", "resume saga", "refused"] * 2
)
passing = st.sampled_from([0, 0, 0, 1, 5, 8, 30, 100])


@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(performed, happens, passing), max_size=40), st.booleans())
def test_every_question_has_one_end(script, reminding):
    """For any course of events: no effect is open at the end and no question is waited for; nobody is reminded twice
    or while it is paused, and nothing expires before its time, pauses apart."""
    world = World(CHASE if reminding else NO_REMINDER)
    crashed = False
    for outcome, happening, passed in script:
        world.now += hours(passed)
        _happen(world, happening)
        crashed = crashed or outcome == "crashed"
        world.step(lambda what, outcome=outcome: _outcome(world, what, outcome))
    _bring_to_an_end(world)
    world.assert_over()
    assert crashed or len(world.sent) == len(set(world.sent))
    assert reminding or KEYS["remind"] not in world.sent
    if world.events(record.Expired):
        assert world.expired_at >= world.due.deadline
    ends = world.events(record.Expired) + world.events(record.FollowUpEnded)
    assert len(ends) + any(not event.late for event in world.events(record.Answered)) == 1


def _outcome(world, what, outcome):
    match outcome:
        case "rejected" if what.step in ("ask", "remind"):
            return Rejected(what, "no")
        case "stumbled":
            return Stumbled(what, world.state.attempts + 1, 0.1, "away")
        case "exhausted" if what.step in ("ask", "remind"):
            return Exhausted(what, "away")
        case "interrupted":
            world.done(what)
            return None
        case "crashed":
            world.done(what)
            world.delivered.clear()
            return None
        case "crossed":
            done = world.done(what)
            if world.status != "over":
                world.say(ANSWER)
            return done
        case _:
            assert what.step != "remind" or world.status != "paused" or KEYS["remind"] not in world.sent
            before = len(world.sent)
            done = world.done(what)
            assert len(world.sent) == before or world.status in ("requested", "waiting")
            return done


def _happen(world, happening):
    running = isinstance(world.state, saga.Running)
    match happening:
        case "answer" | "unheard answer" if world.status != "over":
            world.say(ANSWER)
        case "pause" | "unheard pause" if world.status == "waiting":
            world.say(record.PauseFollowUp())
        case "resume" | "unheard resume" if world.status == "paused":
            world.say(record.ResumeFollowUp())
        case "dismiss" if not world.record.dismissed:
            world.say(record.Dismiss("enough"))
        case "heard again":
            world.news += [each for event, _ in world.history[-3:] if (each := listens(Said(), event))]
        case "hear" if world.news:
            world.hear_one(0)
        case "hear last" if world.news:
            world.hear_one(-1)
        case "timer" if running:
            world.timer()
        case "old timer" if running:
            for step in ("ask", "wait", "remind", "await"):
                world.tell(TimedOut(f"{step}-timeout") if step != world.state.step else Cancelled(""))
        case "resume saga" if running and world.state.paused:
            world.resume_saga()
        case "refused" if running and world.state.step in ("wait", "await", "paused"):
            world.tell(Refused("no_such_rule", "never heard of"))
        case _:
            pass
    if happening in ("answer", "pause", "resume", "dismiss"):
        world.hear()


def _bring_to_an_end(world):
    """Nobody interrupts any more: people resume, all is heard of, timers fire."""
    for _ in range(20):
        world.hear()
        if isinstance(world.state, saga.Ended):
            return
        if world.state.paused is not None:
            world.resume_saga()
        world.run()
        if world.status == "paused":
            world.person(record.ResumeFollowUp())
            world.run()
        elif isinstance(world.state, saga.Running):
            world.pass_until(world.due.deadline)
    raise AssertionError(world.state)
