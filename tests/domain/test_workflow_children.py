"""Sub-workflows that have failed and wait for a person."""

from __future__ import annotations

from datetime import timedelta

from domain import workflow_definition
from domain.workflow import CallCancelled, ChildEnded, Failed, GiveUp, Parked, Requested, Retry, Value
from domain.workflow_definition import Definition, Partial, Step
from domain.workflow_faults import faults
from tests.domain.workflow_story import Run

INNER = workflow_definition.Known({1: Definition({"x": Step(skill="x")})})
LATER = workflow_definition.Known({**INNER.versions, 2: Definition({"y": Step(skill="y")})})


def failed(step: Step | None = None, given=None):
    run = Run({"s": step or Step(workflow="inner", on_failure="park")}, given, definitions={"inner": INNER})
    run.tell(ChildEnded("run-1", "failed", reason="no"))
    return run


def test_it_is_parked_where_its_step_says_so():
    assert faults(Definition({"s": Step(workflow="inner", on_failure="park")})) == []
    run = failed()
    reason = "the run run-1 failed: no"
    assert run.events[-2:] == [Failed("run-1", 1, "error", reason), Parked("run-1", reason)]


def test_a_retry_begins_it_anew_under_an_id_of_its_own_as_it_is_now():
    run = failed()
    run.definitions = {"inner": LATER}
    run.tell(Retry("run-1"))
    cancelled, asked = run.events[-2:]
    assert cancelled == CallCancelled("run-1", "asked for anew")
    assert isinstance(asked, Requested)
    assert (asked.call, asked.kind, asked.skill, asked.version) == ("run-2", "workflow", "inner", "2")
    assert (asked.input, asked.instead_of) == (run.call("run-1").input, "run-1")
    run.tell(ChildEnded("run-2", "completed", Value("well")))
    assert run.ended.output == Value("well")


def test_one_without_a_version_is_as_it_was_when_the_run_began():
    steps = {"w": Step(wait=5.0), "s": Step(workflow="inner", needs=("w",)), "new": Step(workflow="new", needs=("w",))}
    run = Run(steps, definitions={"inner": INNER}, pinned={"inner": 1})
    run.definitions = {"inner": LATER, "new": LATER}
    run.pass_time(5)
    assert [(each.skill, each.version) for each in run.all(Requested)] == [("inner", "1"), ("new", "2")]


def test_the_version_that_its_step_asks_for_is_kept_however_often_it_is_retried():
    run = failed(Step(workflow="inner", version=1, on_failure="park"))
    run.definitions = {"inner": LATER}
    for number in (1, 2):
        run.tell(Retry())
        assert run.call(f"run-{number + 1}").version == "1"
        run.tell(ChildEnded(f"run-{number + 1}", "failed", reason="no"))
        assert run.call(f"run-{number + 1}").status == "parked"


def test_one_of_a_list_takes_its_place_again():
    step = Step(workflow="inner", each="input", on_failure="park", partial=Partial(1.0))
    run = failed(step, ["a", "b"])
    run.tell(Retry("run-1"))
    run.tell(ChildEnded("run-2", "completed", Value("B")))
    run.tell(ChildEnded("run-3", "completed", Value("A")))
    assert run.ended.output == Value(["A", "B"])


def test_what_its_run_says_late_does_not_take_the_decision_from_the_person():
    """Its time was over, and so its run was cancelled."""
    run = Run({"s": Step(workflow="inner", timeout=60.0, on_failure="park")}, definitions={"inner": INNER})
    run.pass_time(timedelta(minutes=1).total_seconds())
    assert run.call("run-1").status == "parked"
    run.tell(ChildEnded("run-1", "cancelled"))
    assert run.call("run-1").status == "parked"
    run.tell(Retry())
    run.tell(ChildEnded("run-1", "completed"))
    assert run.call("run-2").status == "requested", "nobody waits for the first any more"


def test_it_may_be_given_up():
    run = failed()
    run.tell(GiveUp("run-1", "never mind"))
    assert run.ended.reason == "s: never mind"


def test_a_workflow_that_is_gone_by_then_is_parked_again():
    run = failed()
    run.definitions = {}
    run.tell(Retry())
    assert run.events[-1] == Parked("run-2", "there is no workflow inner")
