"""When steps begin, what they are asked with, and what they come to."""

import pytest

from domain import workflow_definition
from domain.skill import Specification
from domain.workflow import (
    Approve,
    Approved,
    CallCancelled,
    ChildEnded,
    Chosen,
    Completed,
    Grants,
    Reject,
    Requested,
    RunFailed,
    StepFailed,
    StepSkipped,
    StepStarted,
    Value,
)
from domain.workflow_course import due
from domain.workflow_definition import (
    Adaptive,
    Approval,
    Candidate,
    Definition,
    Partial,
    Revise,
    Step,
)
from tests.domain.workflow_story import NOON, Run, after, known


def skill(name="work", *needs, **more):
    return Step(skill=name, needs=needs, **more)


# --- order, conditions, joins --------------------------------------------------------------------------------------


def test_steps_that_need_nothing_begin_at_once_and_others_once_all_they_need_is_over():
    run = Run({"a": skill("a"), "b": skill("b"), "c": skill("c", "a", "b")}, "given")
    assert run.asked == [("a", "given"), ("b", "given")]
    run.succeed("run-1", 1)
    assert run.to_start == ("run-2",)
    run.succeed("run-2", 2)
    assert run.asked[-1] == ("c", {"a": 1, "b": 2})
    run.succeed("run-3", "end")
    assert run.events[-1] == Completed(Value("end"))


def test_a_condition_that_does_not_hold_skips_a_step_and_all_that_need_it():
    run = Run({"a": skill(when="input.go"), "b": skill("work", "a"), "c": skill("c")}, {"go": False})
    assert [event.step for event in run.all(StepSkipped)] == ["a", "b"]
    run.succeed("run-1", 1)
    assert run.ended.output.inline == {"b": None, "c": 1}


def test_a_join_of_any_is_skipped_only_where_everything_was():
    steps = {"a": skill(when="input.a"), "b": skill(when="input.b"), "c": skill("c", "a", "b", after="any")}
    run = Run(steps, {"a": True})
    run.succeed("run-1", 1)
    assert run.asked[-1] == ("c", {"a": 1, "b": None})
    assert Run(steps, {}).ended.outcome == "completed", "nothing was to be done"


def test_a_step_that_failed_ends_the_run_unless_it_may_go_on():
    run = Run({"a": skill(), "b": skill("b"), "c": skill("c", "a")})
    run.fail("run-1", "no")
    assert run.all(CallCancelled) == [CallCancelled("run-2", "a: no")]
    assert run.events[-1] == RunFailed("a: no")
    run = Run({"a": skill(on_failure="continue"), "b": skill("b", "a", input="${steps.a}")})
    run.fail("run-1", "no")
    assert run.asked[-1] == ("b", {"output": None, "status": "failed", "error": "no", "history": [], "round": 1})


def test_an_expression_that_fails_on_what_is_there_fails_the_step_with_its_reason():
    run = Run({"a": skill(input="${abs(input)}")}, "text")
    [failed] = run.all(StepFailed)
    assert "abs" in failed.reason
    assert run.ended.outcome == "failed"


def test_the_output_is_a_template_and_one_that_fails_fails_the_run():
    steps = {"a": skill(output="result.n")}
    run = Run(Definition(steps, output={"n": "${steps.a.output}", "by": "${run.actor} in ${run.id}"}))
    run.succeed("run-1", {"n": 7})
    assert run.ended.output.inline == {"n": 7, "by": "ann in run"}
    run = Run(Definition(steps, output="${abs(steps.a.output)}"))
    run.succeed("run-1", {"n": "seven"})
    assert run.ended.outcome == "failed"


def test_what_stands_in_the_object_store_is_passed_on_unread_and_fetched_when_it_is_read():
    large = Value(hash="f" * 64, size=10**6)
    steps = {"a": skill("a"), "b": skill("b", "a"), "c": skill("c", "b", input="${steps.a.output.n}")}
    run = Run(steps, stored={large.hash: {"n": 7}})
    run.succeed("run-1", large)
    assert run.call("run-2").input == large
    assert run.fetched == {}
    run.succeed("run-2")
    assert run.asked[-1] == ("c", 7)


# --- lists ---------------------------------------------------------------------------------------------------------


def each(**more):
    return {"m": Step(skill="work", each="input", **more)}


def test_items_run_side_by_side_as_many_as_may_and_give_a_list_in_their_order():
    run = Run(each(parallel=2, input={"i": "${index}", "it": "${item}"}), ["a", "b", "c"])
    assert run.asked == [("work", {"i": 0, "it": "a"}), ("work", {"i": 1, "it": "b"})]
    run.succeed("run-2", "B")
    assert run.asked[-1] == ("work", {"i": 2, "it": "c"})
    run.succeed("run-3", "C")
    run.succeed("run-1", "A")
    assert run.ended.output.inline == ["A", "B", "C"]


def test_no_items_are_done_at_once_and_what_is_no_list_fails():
    assert Run(each(), []).ended.output.inline == []
    assert "gives no list" in Run(each(), {"a": 1}).ended.reason
    assert "1001 items" in Run(each(), list(range(1001))).ended.reason


def test_a_share_that_succeeds_is_enough_and_what_cannot_reach_it_ends_at_once():
    run = Run(each(partial=Partial(share=0.5)), ["a", "b", "c", "d"])
    run.fail("run-1")
    run.fail("run-2")
    run.succeed("run-3", "C")
    run.succeed("run-4", "D")
    assert run.ended.output.inline == [None, None, "C", "D"]
    run = Run(each(partial=Partial(share=0.5)), ["a", "b", "c", "d"])
    for id in ("run-1", "run-2", "run-3"):
        run.fail(id, f"no {id}")
    assert run.all(CallCancelled)[0].call == "run-4"
    assert run.ended.reason == "m: 3 of 4 items failed, 2 must succeed: no run-3"


def test_once_enough_have_succeeded_the_others_are_cancelled():
    run = Run(each(partial=Partial(enough=2)), ["a", "b", "c", "d"])
    run.fail("run-1")
    run.succeed("run-2", "B")
    run.succeed("run-4", "D")
    assert [event.call for event in run.all(CallCancelled)] == ["run-3"]
    assert run.ended.output.inline == [None, "B", None, "D"]


def test_an_item_without_an_answer_to_its_template_fails_alone():
    run = Run(each(partial=Partial(share=0.5), input="${abs(item)}"), [-1, "x"])
    run.succeed("run-1", 1)
    assert run.ended.output.inline == [1, None]


def test_outcomes_tell_what_failed_and_why():
    expression = "outcomes[?error].{item: item, error: error, skill: skill}"
    run = Run(each(partial=Partial(share=0), output=expression), ["a", "b"])
    run.fail("run-1", "no")
    run.succeed("run-2")
    assert run.ended.output.inline == [{"item": "a", "error": "no", "skill": "work"}]


# --- people, time, choices, revisions ------------------------------------------------------------------------------

ASK = {"ask": Step(approval=Approval("Pay ${input.sum}?", within=60.0)), "pay": skill("pay", "ask")}


def test_an_approval_waits_for_a_person_and_goes_on():
    run = Run(ASK, {"sum": 7})
    assert run.all(StepStarted) == [StepStarted("ask", question="Pay 7?", until=after(60))]
    run.tell(Approve("ask", "fine"))
    assert run.asked == [("pay", {"approved": True, "note": "fine"})]


def test_what_is_rejected_fails_the_run_or_sends_the_work_back():
    run = Run(ASK, {"sum": 7})
    run.tell(Reject("ask", "too much"))
    assert run.ended.reason == "ask: rejected: too much"
    review = Step(approval=Approval("Good?"), needs=("draft",), revise=Revise("result.approved", "draft", 1))
    run = Run(
        {"draft": skill("draft", input={"remarks": "${remarks.note}"}), "ask": review, "end": skill("end", "ask")}
    )
    run.succeed("run-1", "first")
    run.tell(Reject("ask", "shorter"))
    assert run.asked[-1] == ("draft", {"remarks": "shorter"})
    run.succeed("run-2", "second")
    run.tell(Approve("ask"))
    assert run.asked[-1] == ("end", {"approved": True, "note": ""})


@pytest.mark.parametrize(("otherwise", "outcome"), [("reject", "failed"), ("approve", "completed")])
def test_an_approval_that_nobody_gives_in_time_is_as_it_says(otherwise, outcome):
    run = Run({"ask": Step(approval=Approval("Sure?", 60.0, otherwise))})
    assert due(run.state) == after(60)
    assert run.pass_time(59.9) == ()
    assert run.pass_time(0.1)[0].by_default
    assert run.ended.outcome == outcome


def test_a_wait_is_over_when_its_time_is():
    run = Run({"w": Step(wait=5.0), "a": skill("a", "w", input="${input}")}, "x")
    assert run.pass_time(4.9) == ()
    run.pass_time(0.1)
    assert run.asked == [("a", "x")]


def adaptive(*candidates, **more):
    told = {"goal": "result.done", "candidates": candidates, **more}
    return {"c": Step(adaptive=Adaptive(**told))}


BY_STATE = adaptive(
    Candidate("first", score="`1`"),
    Candidate("second", when="turns[-1].output.hint", score="`2`", input="${turns[-1].output.hint}"),
)


def test_the_next_skill_is_chosen_by_the_state_that_the_ones_before_have_left():
    run = Run(BY_STATE, "given")
    run.succeed("run-1", {"hint": "there"})
    run.succeed("run-2", {"done": True})
    assert run.asked == [("first", "given"), ("second", "there")]
    assert run.all(Chosen) == [
        Chosen("c", 1, {"first": 1.0}, "first", "the highest score: 1"),
        Chosen("c", 2, {"first": 1.0, "second": 2.0}, "second", "the highest score: 2"),
        Chosen("c", 3, {}, None, "the goal is reached"),
    ]
    assert run.ended.output.inline == {"done": True}


def test_of_the_same_score_the_first_candidate_is_asked_and_one_that_has_failed_is_not_asked_again():
    run = Run(adaptive(Candidate("a"), Candidate("b")))
    run.fail("run-1", "broken")
    assert [name for name, _ in run.asked] == ["a", "b"]
    run.fail("run-2", "broken too")
    assert run.ended.reason == "c: no candidate is left: broken too"


def test_another_candidate_is_asked_at_once_where_one_is_not_to_be_had():
    run = Run(adaptive(Candidate("gone", score="`2`"), Candidate("b")), missing=["gone"])
    assert run.to_start == ("run-2",)
    run.succeed("run-2", {"done": True})
    assert run.ended.outcome == "completed"


def test_an_adaptive_step_ends_after_its_turns_and_scores_are_numbers():
    run = Run(adaptive(Candidate("a"), at_most=2))
    run.succeed("run-1", {})
    run.succeed("run-2", {})
    assert run.ended.reason == "c: the goal is not reached after 2 turns"
    assert "is no number" in Run(adaptive(Candidate("a", score="'high'"))).ended.reason


@pytest.mark.parametrize(("otherwise", "outcome"), [("fail", "failed"), ("accept", "completed")])
def test_work_is_sent_back_with_remarks_a_bounded_number_of_times(otherwise, outcome):
    steps = {
        "a": skill("a", input={"remarks": "${remarks}", "drafts": "${steps.a.history}"}),
        "aside": skill("aside", "a"),
        "b": skill("b", "a", revise=Revise("result.ok", "a", 1, otherwise)),
    }
    run = Run(steps)
    run.succeed("run-1", "draft")
    run.succeed("run-2")
    run.succeed("run-3", {"ok": False})
    assert run.asked[-1] == ("a", {"remarks": {"ok": False}, "drafts": ["draft"]})
    run.succeed("run-4", "better")
    assert run.asked[-1] == ("b", "better")
    assert len([name for name, _ in run.asked if name == "aside"]) == 1, "what does not lead to it stays"
    run.succeed("run-5", {"ok": False})
    assert run.ended.outcome == outcome


# --- limits, workflows within workflows ----------------------------------------------------------------------------


def test_what_is_not_granted_is_not_asked():
    run = Run({"a": skill("mail")}, grants=Grants(skills=("read",)))
    assert run.ended.reason == "a: the run may not use the skill mail"
    assert run.events[2].kind == "refused"


def test_nothing_more_is_asked_once_the_budget_is_spent():
    run = Run({"a": skill("a"), "b": skill("b", "a")}, budget=1.0)
    run.succeed("run-1", cost=1.0)
    assert run.ended.reason == "b: the budget of 1 is spent"


def test_an_unknown_skill_fails_the_step_or_waits_for_somebody_to_register_it():
    assert Run({"a": skill("x")}, missing=["x"]).ended.reason == "a: there is no skill x"
    run = Run({"a": skill("x", on_failure="park")}, missing=["x"])
    assert run.call("run-1").status == "parked"


SUB = workflow_definition.Known({1: Definition({"x": Step(skill="x")}), 2: Definition({"y": Step(skill="y")})})


def test_a_sub_workflow_is_a_run_of_its_own_and_ends_the_call_once():
    run = Run({"s": Step(workflow="sub", timeout=60.0)}, "given", definitions={"sub": SUB})
    [requested] = run.all(Requested)
    assert (requested.kind, requested.skill, requested.version) == ("workflow", "sub", "2")
    assert requested.deadline == after(60)
    run.tell(ChildEnded("run-1", "completed", Value("out"), cost=0.5))
    assert (run.ended.output.inline, run.ended.cost) == ("out", 0.5)
    assert run.tell(ChildEnded("run-1", "failed")) is None
    assert run.ended.outcome == "completed"


def test_a_sub_workflow_that_failed_is_not_tried_again():
    run = Run({"s": Step(workflow="sub", version=1)}, definitions={"sub": SUB})
    run.tell(ChildEnded("run-1", "failed", reason="no"))
    assert run.ended.reason == "s: the run run-1 failed: no"
    assert "no version 9" in Run({"s": Step(workflow="sub", version=9)}, definitions={"sub": SUB}).ended.reason
    assert "no workflow" in Run({"s": Step(workflow="other")}).ended.reason


def test_workflows_within_workflows_have_a_bottom():
    run = Run({"s": Step(workflow="sub")}, id="r" * 120, definitions={"sub": SUB})
    assert "too deeply" in run.ended.reason


def test_a_run_fails_when_its_time_is_over():
    run = Run({"a": skill(), "ask": Step(approval=Approval("?"))}, until=after(10))
    assert due(run.state) == after(10)
    run.pass_time(10)
    assert run.ended.reason == "the time of the run is over"
    assert due(run.state) is None


def test_the_policy_of_a_call_is_that_of_its_skill_but_for_what_the_step_says():
    run = Run({"a": skill(timeout=5.0)}, skills={"work": known(Specification("1", timeout=9.0, lease=3.0))})
    policy = run.call("run-1").policy
    assert (policy.timeout, policy.lease) == (5.0, 3.0)
    run.lease("run-1")
    assert run.call("run-1").deadline == after(5)
    assert run.now == NOON
    assert Approved not in {type(event) for event in run.events}
