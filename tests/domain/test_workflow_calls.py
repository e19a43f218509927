"""Whom a call is given to, and what is made of what is reported of it, in whatever order it comes."""

from collections import Counter
from datetime import timedelta
from itertools import pairwise

import pytest
from msgspec import structs

from domain import workflow_definition
from domain.decider import Refusal
from domain.skill import Cost, Known, Offered, RetryPolicy, Specification
from domain.workflow import (
    Failed,
    GiveUp,
    Grants,
    Leased,
    Parent,
    Parked,
    Progressed,
    Reattempted,
    Requested,
    Retried,
    Retry,
    Routed,
    Running,
    Succeeded,
    Value,
)
from domain.workflow_calls import DEEPEST, MOST_CALLS
from domain.workflow_course import CallFailed, CallLeased, CallProgressed, CallSucceeded, TimePassed, due
from domain.workflow_definition import Adaptive, Candidate, Compensation, Definition, Revise, Step
from tests.domain.workflow_story import NOON, Run, after, known

TWICE = RetryPolicy(attempts=2, first=8.0)


def alone(version=None, **more):
    return {"a": Step(skill="work", version=version, **more)}


RETRIED = Specification("1", retry=TWICE)


def one(specification=RETRIED, **more):
    """A run of one skill alone."""
    return Run(alone(**more), "given", skills={"work": known(specification)})


# --- reports -------------------------------------------------------------------------------------------------------


def test_a_call_is_leased_tells_how_far_it_is_and_succeeds():
    run = one()
    assert run.to_start == ("run-1",)
    assert run.lease("run-1", "w1") == (Leased("run-1", 1, "w1", after(60)),)
    assert run.to_start == ()
    assert run.say(CallProgressed("run-1", 1, 0.5, "half")) == (Progressed("run-1", 1, 0.5, "half"),)
    assert run.succeed("run-1", "out", worker="w1") == (Succeeded("run-1", 1, Value("out"), "w1"),)
    assert run.ended.outcome == "completed"


def test_a_result_may_come_before_anybody_has_heard_that_somebody_has_it():
    run = one()
    run.succeed("run-1")
    assert run.ended.outcome == "completed"
    assert run.say(CallLeased("run-1", 1, "w")) == ()


def test_a_lease_that_is_told_twice_is_written_once_and_another_worker_is():
    run = one()
    run.lease("run-1", "w1")
    assert run.lease("run-1", "w1") == ()
    run.pass_time(20)
    assert run.lease("run-1", "w2") == (Leased("run-1", 1, "w2", after(60)),), "it has the time that is left"


def test_what_is_late_doubled_or_of_nobody_changes_nothing():
    run = Run({"a": Step(skill="work"), "b": Step(skill="work", needs=("a",))}, skills={"work": known(RETRIED)})
    run.fail("run-1", retryable=True)
    assert run.say(CallFailed("run-1", 1, "error", "again")) == (), "doubled"
    assert run.say(CallLeased("run-1", 1, "w")) == (), "the attempt is over"
    assert run.say(CallSucceeded("run-1", 3, Value())) == (), "there is no such attempt yet"
    assert run.say(CallSucceeded("run-9", 1, Value())) == (), "nor such a call"
    run.next_moment()
    assert run.say(CallFailed("run-1", 1, "error", "late")) == ()
    run.succeed("run-1", "out")
    assert run.say(CallSucceeded("run-1", 2, Value("other"))) == (), "settled"
    assert run.asked[-1] == ("work", "out")


def test_a_late_result_is_taken_while_the_next_attempt_runs_so_that_the_step_is_not_done_again():
    run = one()
    run.lease("run-1", "w1")
    run.pass_time(60)
    assert run.call("run-1").status == "retrying"
    run.succeed("run-1", "late", attempt=1)
    assert run.ended.output.inline == "late"


def test_costs_are_what_is_reported_and_what_the_skill_costs_anyway():
    run = one(Specification("1", retry=TWICE, cost=Cost(per_call=1.0, per_second=0.5)))
    run.fail("run-1", retryable=True, seconds=2.0)
    run.next_moment()
    run.succeed("run-1", seconds=4.0, cost=10.0)
    assert [event.cost for event in run.all(Failed) + run.all(Succeeded)] == [2.0, 13.0]
    assert run.ended.cost == 15.0


# --- attempts ------------------------------------------------------------------------------------------------------


def test_a_failed_attempt_is_followed_by_another_after_a_pause_that_is_drawn():
    run = one()
    [failed] = run.fail("run-1", retryable=True)
    assert NOON <= failed.retry_at < after(8)
    assert due(run.state) == failed.retry_at
    assert run.to_start == ()
    assert run.say(TimePassed()) == ()
    run.next_moment()
    [again] = run.all(Reattempted)
    assert (again.attempt, again.version) == (2, "1")
    assert again.deadline == run.now + timedelta(days=1)
    assert run.to_start == ("run-1",)
    run.fail("run-1", "still", retryable=True)
    assert run.ended.reason == "a: still", "no attempt is left"


def test_calls_that_fail_together_do_not_come_back_together():
    run = Run({"m": Step(skill="work", each="input", retry=RetryPolicy(first=8.0))}, list(range(5)))
    for number in range(1, 6):
        run.lease(f"run-{number}")
    run.pass_time(60)
    assert len({event.retry_at for event in run.all(Failed)}) == 5


@pytest.mark.parametrize("more", [{"kind": "invalid", "retryable": True}, {"retryable": False}, {"kind": "refused"}])
def test_what_another_attempt_would_not_change_is_not_tried_again(more):
    run = one()
    run.fail("run-1", **more)
    assert run.ended.outcome == "failed"


def test_an_attempt_that_is_not_over_in_time_has_failed():
    run = one(Specification("1", timeout=5.0, retry=RetryPolicy(attempts=1)))
    run.lease("run-1", "w1")
    assert run.pass_time(4.9) == ()
    [failed] = run.pass_time(0.1)
    assert (failed.kind, failed.reason, failed.worker) == ("timeout", "no result after 5 s", "w1")
    assert run.ended.outcome == "failed"


def test_what_waits_for_somebody_who_begins_it_has_all_of_its_time_left():
    """However long others are before it: it fails only when nobody has begun it for as long as its skill says."""
    run = one(Specification("1", timeout=5.0, queue_timeout=600.0, retry=RetryPolicy(attempts=1)))
    assert run.pass_time(599) == ()
    assert run.lease("run-1", "w1") == (Leased("run-1", 1, "w1", after(604)),)

    run = one(Specification("1", timeout=5.0, queue_timeout=600.0, retry=RetryPolicy(attempts=1)))
    [failed] = run.pass_time(600)
    assert (failed.kind, failed.reason) == ("unserved", "nobody has begun it within 600 s")


def test_what_is_scheduled_waits_for_its_moment_however_rare():
    run = one(Specification("1", scaling="scheduled", schedule="0 0 1 1 *"))
    assert run.pass_time(365 * 86_400) == ()


def test_the_step_says_how_often_where_it_says_so():
    run = one(retry=RetryPolicy(attempts=1))
    run.fail("run-1", retryable=True)
    assert run.ended.outcome == "failed"


# --- dead letters --------------------------------------------------------------------------------------------------


def parked():
    run = one(on_failure="park")
    run.fail("run-1", "hopeless")
    return run


def test_a_parked_call_waits_for_a_person():
    run = parked()
    assert run.events[-1] == Parked("run-1", "hopeless")
    assert due(run.state) is None
    assert run.pass_time(10**6) == ()


def test_a_retry_gives_it_all_its_attempts_again_under_numbers_that_never_come_twice():
    run = parked()
    run.tell(Retry("run-1"))
    assert run.events[-2] == Retried("run-1")
    assert run.to_start == ("run-1",)
    assert run.call("run-1").attempt == 2
    run.fail("run-1", retryable=True)
    run.next_moment()
    assert run.call("run-1").attempt == 3
    run.succeed("run-1", "out")
    assert run.ended.output.inline == "out"


def test_a_call_is_given_up_and_a_late_result_is_taken_until_then():
    run = parked()
    run.tell(GiveUp("run-1", "not worth it"))
    assert run.ended.reason == "a: not worth it"
    run = parked()
    run.succeed("run-1", "after all")
    assert run.ended.outcome == "completed"


def test_without_a_name_all_parked_calls_are_retried():
    run = Run({"m": Step(skill="work", each="input", on_failure="park")}, [1, 2, 3])
    run.fail("run-1")
    run.fail("run-3")
    run.tell(Retry())
    assert set(run.to_start) == {"run-1", "run-2", "run-3"}


def test_what_is_not_parked_is_neither_retried_nor_given_up():
    run = one()
    for command in (Retry("run-1"), Retry("run-7"), GiveUp("run-1", "no")):
        refused = run.tell(command)
        assert isinstance(refused, Refusal)
        assert refused.name == "call_not_parked"
    assert run.tell(Retry()) is None, "there is none"


# --- fallbacks -----------------------------------------------------------------------------------------------------


def falling(**backs):
    return {name: known(Specification("1", retry=TWICE, fallback=back)) for name, back in backs.items()}


def test_a_skill_that_failed_for_good_gives_way_to_its_fallback_with_the_same_input():
    run = Run(alone(), "given", skills=falling(work="b", b="c"))
    run.fail("run-1")
    run.fail("run-2")
    run.succeed("run-3", "out")
    assert run.asked == [("work", "given"), ("b", "given"), ("c", "given")]
    assert [event.instead_of for event in run.all(Requested)] == [None, "run-1", "run-2"]
    assert run.ended.output.inline == "out"


def test_fallbacks_that_go_in_a_circle_end():
    run = Run(alone(), skills=falling(work="b", b="work"))
    run.fail("run-1")
    run.fail("run-2", "last")
    assert run.ended.reason == "a: last"


def test_only_the_last_of_the_fallbacks_is_parked():
    run = Run(alone(on_failure="park"), skills=falling(work="b", b=None))
    run.fail("run-1")
    run.fail("run-2")
    assert [event.call for event in run.all(Parked)] == ["run-2"]


def test_a_fallback_that_may_not_be_used_is_none():
    run = Run(alone(), skills=falling(work="b"), grants=Grants(skills=("work",)))
    run.fail("run-1", "no")
    assert run.ended.reason == "a: the run may not use the skill b"


def test_an_item_whose_fallback_succeeds_has_succeeded():
    run = Run({"m": Step(skill="work", each="input")}, ["x", "y"], skills=falling(work="b"))
    run.fail("run-1")
    run.succeed("run-2", "Y")
    run.succeed("run-3", "X")
    assert run.ended.output.inline == ["X", "Y"]


def test_a_turn_whose_fallback_succeeds_is_one_turn():
    adaptive = Adaptive("turns[-1].output.ok", (Candidate("work"), Candidate("other", when="turns")))
    run = Run({"c": Step(adaptive=adaptive)}, skills=falling(work="b"))
    run.fail("run-1")
    run.succeed("run-2", {"ok": True})
    assert run.ended.outcome == "completed"


# --- versions and circuits -----------------------------------------------------------------------------------------


def versions(open_until=None, fallback=None, **shares):
    """Versions by their shares; those named in `open_until` have an open circuit."""
    open_until = open_until or {}
    offered = {
        version: Offered(Specification(version, retry=TWICE, fallback=fallback), open_until=open_until.get(version))
        for version in shares
    }
    return {"work": Known(offered, shares)}


def test_versions_get_their_shares_and_the_choice_is_on_the_record():
    chosen = Counter()
    for number in range(600):
        [requested] = Run(alone(), id=f"r{number}", skills=versions(v1=9, v2=1, v3=0)).all(Requested)
        assert requested.routed == Routed({"v1": 9, "v2": 1}, "by share")
        chosen[requested.version] += 1
    assert chosen.keys() == {"v1", "v2"}
    assert 30 <= chosen["v2"] <= 90


def test_the_same_call_is_always_given_to_the_same_version():
    runs = [Run(alone(), id="r7", skills=versions(v1=1, v2=1)) for _ in range(2)]
    assert runs[0].events == runs[1].events


def test_a_version_with_an_open_circuit_is_passed_over():
    for number in range(20):
        run = Run(alone(), id=f"r{number}", skills=versions({"v1": after(30)}, v1=9, v2=1))
        [requested] = run.all(Requested)
        assert requested.version == "v2"
        assert requested.routed == Routed({"v1": 9, "v2": 1}, "circuit")


def test_with_every_circuit_open_the_fallback_is_asked_at_once():
    run = Run(alone(), "given", skills=versions({"v1": after(30)}, "b", v1=1))
    assert [(event.kind, event.retry_at) for event in run.all(Failed)] == [("circuit_open", None)]
    assert run.asked == [("work", "given"), ("b", "given")]
    assert run.to_start == ("run-2",)


def test_without_a_fallback_it_waits_until_the_circuit_may_be_tried_and_loses_no_attempt():
    run = Run(alone(), skills=versions({"v1": after(30)}, v1=1))
    assert run.to_start == ()
    assert after(30) <= due(run.state) <= after(30 + TWICE.first)
    run.next_moment()
    assert run.to_start == ("run-1",)
    assert run.call("run-1").attempt == 1
    run.fail("run-1", retryable=True)
    assert run.call("run-1").attempt == 2


def test_those_that_wait_for_a_circuit_do_not_come_back_all_at_once():
    """Those of other runs neither; and of a run the first one goes first, more or less."""
    items = Run({"s": Step(skill="work", each="input")}, list(range(16)), skills=versions({"v1": after(30)}, v1=1))
    moments = [event.retry_at for event in items.all(Failed)]
    assert all(moment >= after(30) for moment in moments)
    assert moments[0] <= after(30 + TWICE.first)
    assert max(moments) - min(moments) > timedelta(seconds=TWICE.first)
    alone_each = {
        Run(alone(), id=f"r{n}", skills=versions({"v1": after(30)}, v1=1)).all(Failed)[0].retry_at for n in range(9)
    }
    assert len({*moments, *alone_each}) == 16 + 9


def test_a_circuit_that_opens_between_attempts_sends_the_next_one_elsewhere():
    run = Run(alone(), skills=versions(v1=1))
    run.fail("run-1", retryable=True)
    run.skills["work"] = versions({"v1": after(10**6)}, v1=1, v2=1)["work"]
    run.next_moment()
    assert run.call("run-1").version == "v2"


def test_a_version_that_is_asked_for_is_asked_and_no_other():
    assert Run(alone("v2"), skills=versions(v1=1, v2=0)).call("run-1").version == "v2"
    assert "no version v3" in Run(alone("v3"), skills=versions(v1=1)).ended.reason
    retired = Known({"v1": Offered(Specification("v1"), retired=True)}, {"v1": 1})
    assert "retired" in Run(alone("v1"), skills={"work": retired}).ended.reason
    assert "given any work" in Run(alone(), skills={"work": retired}).ended.reason


def test_the_numbers_of_calls_follow_one_another():
    run = Run({"m": Step(skill="work", each="input"), "n": Step(skill="work", needs=("m",))}, [1, 2])
    run.succeed("run-1")
    run.succeed("run-2")
    ids = [event.call for event in run.all(Requested)]
    assert ids == ["run-1", "run-2", "run-3"]
    assert all(run.call(one).number + 1 == run.call(other).number for one, other in pairwise(ids))


# --- an end ---------------------------------------------------------------------------------------------------------


def with_all_its_calls(run):
    """All but one are called off."""
    first = run.call("run-1")
    more = {f"run-{n}": structs.replace(first, status="cancelled") for n in range(2, MOST_CALLS + 1)}
    run.state = structs.replace(run.state, calls=run.running.calls | more)
    return run


@pytest.mark.parametrize("on_failure", ["fail", "park"])
def test_a_run_that_has_made_all_its_calls_asks_only_to_take_back(on_failure):
    book = Step(skill="book", compensate=Compensation("undo"))
    run = with_all_its_calls(Run({"a": book, "b": Step(skill="b", needs=("a",), on_failure=on_failure)}, "given"))
    run.succeed("run-1", "booked")
    assert run.step("b").reason == "a run has at most 10000 calls"
    assert [skill for skill, _ in run.asked] == ["book", "b", "undo"]
    run.succeed(f"run-{MOST_CALLS + 2}")
    assert run.ended.reason == "b: a run has at most 10000 calls"


def test_a_run_that_has_made_all_its_calls_sends_nothing_back():
    run = with_all_its_calls(Run({"a": Step(skill="a", revise=Revise("result.ok", "a", 20))}))
    run.succeed("run-1", {"ok": False})
    assert run.ended.reason == "a: not good enough after 0 revisions"


def test_going_back_and_back_without_a_call_has_an_end_too():
    """There are no items: 21 rounds of 21 rounds of 21 rounds, and so on."""
    steps = {"a": Step(skill="a", each="input")}
    for name in "bcdef":
        steps[name] = Step(skill="a", each="input", needs=(list(steps)[-1],), revise=Revise("result[0]", "a", 20))
    run = Run(steps, [])
    assert run.ended.outcome == "failed"
    assert "not good enough" in run.ended.reason
    assert len(run.events) < 2 * MOST_CALLS


@pytest.mark.parametrize(("depth", "asks"), [(DEEPEST - 1, True), (DEEPEST, False)])
def test_a_run_within_eight_others_begins_no_more(depth, asks):
    inner = workflow_definition.Known({1: Definition({"a": Step(skill="work")})})
    run = Run({"s": Step(workflow="inner")}, definitions={"inner": inner}, parent=Parent("p", "p-1", depth))
    assert isinstance(run.state, Running) is asks
    assert asks or "too deeply: at most 8" in run.ended.reason


@pytest.mark.parametrize(
    ("within", "name", "circle"), [((), "d", "d -> d"), (("a", "b"), "b", "b -> d -> b"), (("a", "b"), "c", "")]
)
def test_a_workflow_that_would_begin_itself_through_whomever_is_refused_at_once(within, name, circle):
    known = workflow_definition.Known({1: Definition({"a": Step(skill="work")})})
    parent = Parent("p", "p-1", len(within), within) if within else None
    run = Run({"s": Step(workflow=name)}, definitions={name: known}, parent=parent)
    assert isinstance(run.state, Running) is (not circle)
    assert not circle or run.ended.reason == f"s: it would begin itself: {circle}"
