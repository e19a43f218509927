"""What a run may spend: what is under way is set aside before the next is asked for."""

import pytest

from domain import workflow_definition
from domain.skill import Cost, RetryPolicy, Specification
from domain.workflow import ChildEnded, Failed, Requested, Retry
from domain.workflow_definition import Compensation, Definition, Partial, Step
from tests.domain.workflow_story import Run, known

INNER = {"inner": workflow_definition.Known({1: Definition({"x": Step(skill="x")})})}
SUB = Step(workflow="inner")


def dear(per_call=1.0, **more):
    return {"work": known(Specification("1", cost=Cost(per_call=per_call), **more))}


def asked_for(run):
    """Those that were not refused at once."""
    refused = {each.call for each in run.all(Failed) if each.kind == "refused"}
    return [each.call for each in run.all(Requested) if each.call not in refused]


def shares(run):
    return [each.policy.budget for each in run.all(Requested) if each.kind == "workflow"]


@pytest.mark.parametrize(("budget", "per_call", "most"), [(1.0, 1.0, 1), (2.5, 1.0, 2), (0.3, 0.1, 3), (0.5, 1.0, 0)])
def test_of_calls_side_by_side_as_many_are_asked_for_as_the_budget_pays(budget, per_call, most):
    step = Step(skill="work", each="input", partial=Partial(0.0))
    run = Run({"s": step}, list(range(16)), skills=dear(per_call), budget=budget)
    calls = asked_for(run)
    assert len(calls) == most
    for call in calls:
        run.succeed(call)
    assert run.ended.cost == pytest.approx(most * per_call)
    assert run.ended.cost <= budget + 1e-9


def test_it_is_said_what_it_costs_and_what_is_left():
    run = Run({"s": Step(skill="work")}, skills=dear(2.0), budget=1.5)
    assert run.ended.reason == "s: it costs 2, and of the budget of 1.5 there is 1.5 left"


def test_another_attempt_is_paid_for_too():
    run = Run({"s": Step(skill="work")}, skills=dear(retry=RetryPolicy(attempts=5)), budget=2.0)
    run.fail("run-1", retryable=True)
    run.next_moment()
    run.fail("run-1", retryable=True)
    run.next_moment()
    assert (run.ended.outcome, run.ended.cost) == ("failed", 2.0)


def test_what_waits_for_a_person_holds_nothing_back():
    steps = {"a": Step(skill="work", on_failure="park"), "w": Step(wait=9.0), "b": Step(skill="work", needs=("w",))}
    run = Run(steps, skills=dear(), budget=2.0)
    run.fail("run-1")
    run.pass_time(9)
    assert asked_for(run) == ["run-1", "run-2"]
    run.succeed("run-2")
    run.tell(Retry("run-1"))
    call = run.call("run-1")
    assert (call.status, call.reason, run.running.cost) == ("parked", "the budget of 2 is spent", 2.0)


def test_taking_back_is_not_held_to_the_budget():
    steps = {"a": Step(skill="work", compensate=Compensation("work")), "b": Step(skill="work", needs=("a",))}
    run = Run(steps, skills=dear(), budget=1.0)
    run.succeed("run-1")
    assert [each.undo for each in run.all(Requested)] == [None, None, "run-1"]
    run.succeed("run-3")
    assert (run.ended.outcome, run.ended.cost) == ("failed", 2.0)


def test_sub_workflows_side_by_side_share_what_is_left():
    run = Run({"a": SUB, "b": SUB, "c": SUB}, budget=6.0, definitions=INNER)
    assert shares(run) == [2.0, 2.0, 2.0]


def test_so_do_those_of_a_list_as_many_at_a_time_as_may_be_and_the_next_has_what_is_left_over():
    step = Step(workflow="inner", each="input", parallel=2)
    run = Run({"s": step}, ["a", "b", "c"], budget=6.0, definitions=INNER)
    assert shares(run) == [3.0, 3.0]
    run.tell(ChildEnded("run-1", "completed", cost=1.0))
    assert shares(run) == [3.0, 3.0, 2.0]


def test_one_that_comes_after_the_other_has_what_that_leaves():
    run = Run({"a": SUB, "b": Step(workflow="inner", needs=("a",))}, budget=6.0, definitions=INNER)
    run.tell(ChildEnded("run-1", "completed", cost=1.5))
    assert shares(run) == [6.0, 4.5]


def test_what_goes_on_beside_a_sub_workflow_is_left_its_part():
    steps = {"w": Step(wait=9.0), "a": SUB, "b": Step(skill="work", needs=("w",))}
    run = Run(steps, budget=3.0, skills=dear(), definitions=INNER)
    assert shares(run) == [1.5]
    run.pass_time(9)
    assert asked_for(run) == ["run-1", "run-2"]


def test_without_a_budget_nothing_is_shared():
    assert shares(Run({"a": SUB, "b": SUB}, definitions=INNER)) == [None, None]
