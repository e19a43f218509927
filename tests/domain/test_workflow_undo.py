"""What has succeeded is taken back when a run fails or is cancelled: the last first, one after the other."""

import pytest

from domain import workflow_definition
from domain.skill import RetryPolicy, Specification
from domain.workflow import (
    CallCancelled,
    Cancel,
    CancelAsked,
    Cancelled,
    CompensationStarted,
    GiveUp,
    Parked,
    Requested,
    Retry,
    RunFailed,
    Running,
    workflow,
)
from domain.workflow_course import due
from domain.workflow_definition import Approval, Compensation, Definition, Revise, Step
from tests.domain.workflow_story import Run, after, known


def paid(name, *needs, **more):
    return Step(skill=name, needs=needs, compensate=Compensation(f"un{name}"), **more)


BOOKED = {"a": paid("a"), "b": paid("b"), "c": Step(skill="c", needs=("a", "b"))}


def failing(steps=BOOKED, **more):
    """b succeeds before a, then c fails."""
    run = Run(steps, **more)
    run.succeed("run-2", "B")
    run.succeed("run-1", "A")
    run.fail("run-3", "no")
    return run


def test_the_last_that_succeeded_is_taken_back_first_and_each_waits_for_the_one_before():
    run = failing()
    assert run.events[-2:][0] == CompensationStarted("c: no", "failed")
    assert run.asked[3:] == [("una", "A")]
    run.succeed("run-4")
    assert run.asked[3:] == [("una", "A"), ("unb", "B")]
    assert run.call("run-1").status == "undone"
    run.succeed("run-5")
    assert run.events[-1] == RunFailed("c: no", undone=2)
    assert [event.undo for event in run.all(Requested)[3:]] == ["run-1", "run-2"]


def test_what_takes_back_gets_the_result_the_input_or_what_its_template_says():
    undo = Compensation("undo", input={"id": "${result.id}", "for": "${given}", "why": "${run.id}"})
    run = Run({"a": Step(skill="a", compensate=undo), "b": Step(skill="b", needs=("a",))}, "given")
    run.succeed("run-1", {"id": 7})
    run.fail("run-2")
    assert run.asked[-1] == ("undo", {"id": 7, "for": "given", "why": "run"})


def test_cancelling_gives_up_what_is_under_way_and_takes_back_what_is_done():
    run = Run(BOOKED)
    run.succeed("run-1", "A")
    run.tell(Cancel("changed my mind"))
    assert run.events[-4:-1] == [
        CancelAsked("changed my mind"),
        CompensationStarted("changed my mind", "cancelled"),
        CallCancelled("run-2", "changed my mind"),
    ]
    written = len(run.events)
    assert run.tell(Cancel("again")) is None
    assert len(run.events) == written, "twice changes nothing"
    assert run.succeed("run-2", "late") == ()
    run.succeed("run-3")
    assert run.events[-1] == Cancelled("changed my mind", undone=1)


def test_every_item_of_a_list_and_every_round_is_taken_back():
    steps = {
        "m": Step(skill="m", each="input", compensate=Compensation("un", input="${[result, given]}")),
        "b": Step(skill="b", needs=("m",), revise=Revise("result.ok", "m", 1)),
    }
    run = Run(steps, ["x", "y"])
    for id, output in [(1, "X"), (2, "Y"), (3, {"ok": False}), (4, "X2"), (5, "Y2")]:
        run.succeed(f"run-{id}", output)
    run.fail("run-6")
    for id in range(7, 11):
        run.succeed(f"run-{id}")
    assert [given for _, given in run.asked[6:]] == [["Y2", "y"], ["X2", "x"], ["Y", "y"], ["X", "x"]]
    assert run.events[-1].undone == 4


def test_taking_back_is_tried_as_often_as_its_skill_says_and_then_waits_for_a_person():
    twice = known(Specification("1", retry=RetryPolicy(attempts=2)))
    run = failing(skills={"una": twice})
    run.fail("run-4", retryable=True)
    run.next_moment()
    run.fail("run-4", "down", retryable=True)
    assert run.events[-1] == Parked("run-4", "down")
    assert due(run.state) is None
    run.tell(Retry("run-4"))
    run.succeed("run-4")
    run.succeed("run-5")
    assert run.events[-1].undone == 2


def test_a_person_answers_for_what_cannot_be_taken_back():
    run = failing()
    run.fail("run-4")
    run.tell(GiveUp("run-4", "paid by hand"))
    assert run.call("run-1").status == "waived"
    run.succeed("run-5")
    assert run.events[-1] == RunFailed("c: no", undone=1)


@pytest.mark.parametrize("unsound", [Compensation("un", input="${abs(result)}"), Compensation("missing")])
def test_what_nobody_could_be_asked_to_take_back_is_an_alarm_and_asked_anew_on_a_retry(unsound):
    steps = {"a": Step(skill="a", compensate=unsound), "b": Step(skill="b", needs=("a",))}
    run = Run(steps, missing=["missing"])
    run.succeed("run-1", "A")
    run.fail("run-2")
    assert run.call("run-3").status == "parked"
    run.skills.missing = frozenset()
    run.tell(Retry())
    assert run.call("run-3").status == "cancelled"
    if unsound.skill == "missing":
        assert run.to_start == ("run-4",)
    else:
        assert run.call("run-4").status == "parked", "it is never asked with nothing in hand"
        run.tell(GiveUp("run-4", "by hand"))
        assert run.ended.outcome == "failed"


def test_the_fallback_of_what_takes_back_may_do_it():
    run = failing(skills={"una": known(Specification("1", fallback="other"))})
    run.fail("run-4")
    assert run.asked[-1] == ("other", "A")
    run.succeed("run-5")
    assert run.call("run-1").status == "undone"


def test_what_is_spent_and_what_time_is_left_does_not_matter_any_more():
    run = failing(budget=5.0)
    run.succeed("run-4", cost=100.0)
    assert run.asked[-1] == ("unb", "B")


def test_a_run_whose_time_is_over_takes_back_too():
    run = Run(BOOKED, until=after(30))
    run.succeed("run-1", "A")
    run.pass_time(30)
    assert run.call("run-2").status == "cancelled"
    assert run.asked[-1] == ("una", "A")
    assert run.pass_time(1) == (), "it is over only once"
    run.succeed("run-3")
    assert run.events[-1] == RunFailed("the time of the run is over", undone=1)


@pytest.mark.parametrize("undo", [True, False])
def test_what_was_under_way_when_a_run_is_cancelled_does_not_stay_so(undo):
    """Calls, items of a list, sub-workflows whose runs have not ended yet, questions and waits."""
    inner = {"inner": workflow_definition.Known({1: Definition({"x": Step(skill="x")})})}
    steps = {
        "done": Step(skill="a", compensate=Compensation("un-a") if undo else None),
        "call": Step(skill="b"),
        "list": Step(skill="c", each="input"),
        "sub": Step(workflow="inner"),
        "ask": Step(approval=Approval("Sure?")),
        "pause": Step(wait=60.0),
        "later": Step(skill="d", needs=("call",)),
    }
    run = Run(steps, [1, 2], definitions=inner)
    run.succeed("run-1")
    under_way = set(run.running.open)
    assert len(under_way) == 4
    run.tell(Cancel("enough"))
    turned = workflow.fold([each for each in run.events if not isinstance(each, Cancelled)])
    assert isinstance(turned, Running)
    assert {turned.calls[each].status for each in under_way} == {"cancelled"}
    statuses = {name: each.status for name, each in turned.states.items()}
    assert statuses == dict.fromkeys(steps, "cancelled") | {"done": "succeeded", "later": "waiting"}
    assert isinstance(run.state, Running) is undo
