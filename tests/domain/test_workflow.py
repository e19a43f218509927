"""What people may say to a run, and what its stream tells of it."""

from datetime import UTC, datetime

import pytest
from msgspec import structs

from domain.decider import Refusal
from domain.workflow import (
    Approve,
    Approved,
    Begin,
    Cancel,
    CancelAsked,
    ChildEnded,
    Completed,
    Ended,
    GiveUp,
    Grants,
    Invoke,
    NotStarted,
    Parent,
    Reject,
    Retry,
    Start,
    Started,
    StepStarted,
    Value,
    decide,
    workflow,
)
from domain.workflow_definition import Approval, Chain, SkillCall, Step
from tests.domain.workflow_story import Run

ASK = {"ask": Step(approval=Approval("Sure?"))}
BEGIN = Begin("d", 1, ASK, Value("given"), parent=Parent("p", "p-1"))
RUNNING = workflow.fold([Started("d", 1, ASK, Value("given"), parent=Parent("p", "p-1")), StepStarted("ask")])
OVER = Ended("d", 1, "completed", parent=Parent("p", "p-1"))
PEOPLE = [Approve("ask"), Reject("ask"), Cancel(), Retry(), Retry("run-1"), GiveUp("run-1", "no")]


def name(decided):
    assert isinstance(decided, Refusal), decided
    return decided.name


def test_a_run_begins_once_with_its_patterns_written_out():
    begin = Begin("d", 1, {"s": Step(chain=Chain((SkillCall("a"), SkillCall("b"))))}, Value())
    [started] = decide(begin, NotStarted())
    assert list(started.steps) == ["s__1", "s"]
    assert decide(BEGIN, RUNNING) == ()
    assert decide(BEGIN, OVER) == ()
    assert name(decide(begin, RUNNING)) == "run_exists"


ASKED = Begin("d", 1, ASK, Value({"a": 1, "b": 2}), context={"x": 1}, grants=Grants(network=False), budget=2.0)
ALONE = Begin("", 0, {"call": Step(skill="work", timeout=5.0, on_failure="park")}, Value())


def begun(begin):
    return workflow.fold(decide(begin, NotStarted()))


def over(begin):
    return workflow.evolve(begun(begin), Completed(Value()))


@pytest.mark.parametrize("at", [begun, over])
@pytest.mark.parametrize(
    ("other", "told"),
    [
        ({"input": Value({"a": 1})}, "input"),
        ({"input": Value(hash="a" * 64, size=300_000)}, "input"),
        ({"context": {}}, "context"),
        ({"grants": Grants()}, "grants"),
        ({"budget": 3.0, "context": {"x": 2}}, "context, budget"),
        ({"version": 2}, "version"),
        ({"definition": "other"}, "definition"),
    ],
)
def test_another_request_under_the_id_of_a_run_is_refused_and_what_differs_is_named(at, other, told):
    assert decide(structs.replace(ASKED, **other), at(ASKED)) == Refusal(
        "run_exists", f"there is a run of this id already, which differs in {told}"
    )


@pytest.mark.parametrize("at", [begun, over])
def test_the_same_request_again_changes_nothing_whenever_it_comes(at):
    again = structs.replace(ASKED, input=Value({"b": 2, "a": 1}), until=datetime(2026, 11, 22, tzinfo=UTC))
    assert decide(again, at(ASKED)) == ()
    assert decide(ALONE, at(ALONE)) == ()


@pytest.mark.parametrize("at", [begun, over])
@pytest.mark.parametrize(
    ("other", "told"), [({"skill": "more"}, "skill"), ({"timeout": 6.0, "on_failure": "fail"}, "timeout, park")]
)
def test_so_it_is_with_one_skill_alone(at, other, told):
    steps = {"call": structs.replace(ALONE.steps["call"], **other)}
    refused = decide(structs.replace(ALONE, steps=steps), at(ALONE))
    assert isinstance(refused, Refusal)
    assert refused.reason.endswith(f"differs in {told}")


def test_a_sub_workflow_is_known_by_the_call_that_asks_for_it():
    """What is left of a budget is not the same when it is asked for again after a crash."""
    assert decide(structs.replace(BEGIN, budget=1.0), begun(BEGIN)) == ()
    assert decide(structs.replace(BEGIN, budget=1.0), over(BEGIN)) == ()
    others = structs.replace(BEGIN, parent=Parent("p", "p-2"))
    assert "differs in parent" in decide(others, over(BEGIN)).reason


@pytest.mark.parametrize("command", [Start("d"), Invoke("a")])
def test_what_is_started_is_looked_up_before_it_comes_here(command):
    assert name(decide(command, NotStarted())) == "not_resolved"


@pytest.mark.parametrize("command", PEOPLE)
def test_there_is_nothing_to_say_to_a_run_that_is_not_there_or_is_over(command):
    assert name(decide(command, NotStarted())) == "run_not_found"
    assert name(decide(command, OVER)) == "run_ended"


def test_an_approval_that_waits_is_given_once():
    assert decide(Approve("ask", "fine"), RUNNING) == (Approved("ask", "fine"),)
    answered = workflow.fold([Approved("ask")], RUNNING)
    assert name(decide(Approve("ask"), answered)) == "step_not_waiting"
    assert name(decide(Reject("nowhere"), RUNNING)) == "step_not_waiting"
    cancelling = workflow.fold([CancelAsked("no")], RUNNING)
    assert name(decide(Approve("ask"), cancelling)) == "step_not_waiting"


def test_a_cancel_twice_changes_nothing():
    assert decide(Cancel("no"), RUNNING) == (CancelAsked("no"),)
    assert decide(Cancel("no"), workflow.fold([CancelAsked("no")], RUNNING)) == ()
    assert decide(Cancel(), Ended("d", 1, "cancelled")) == ()


@pytest.mark.parametrize("state", [NotStarted(), RUNNING, OVER])
def test_the_end_of_a_run_that_nobody_asked_for_changes_nothing(state):
    assert decide(ChildEnded("run-9", "completed"), state) == ()


def test_the_end_tells_what_came_of_it_and_who_asked():
    state = workflow.fold([Completed(Value("out"))], RUNNING)
    assert state == Ended("d", 1, "completed", Value("out"), parent=Parent("p", "p-1"))


def test_nothing_that_is_written_after_the_end_changes_it():
    run = Run({"a": Step(skill="a")})
    run.succeed("run-1", "out")
    assert workflow.fold(run.events, run.state) == run.state
