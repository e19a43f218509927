"""Patterns are written out as plain steps, and come to what they promise."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.workflow import Revised
from domain.workflow_definition import (
    Chain,
    Compensation,
    Definition,
    Hybrid,
    Partial,
    Revise,
    SkillCall,
    Step,
    Swarm,
)
from domain.workflow_patterns import expanded, written_out
from tests.domain.workflow_story import Run


def call(skill, **more):
    return SkillCall(skill, **more)


SWARM = Swarm(call("split"), call("work"), call("join"), call("lead"), partial=Partial(0.5), team=("expert",))
HYBRID = Hybrid(call("plan"), call("lead"), call("work"), call("write"), call("check"), revisions=1)


def test_the_last_part_keeps_the_name_and_the_first_takes_over_what_comes_before():
    steps = expanded(
        Definition(
            {
                "after": Step(skill="x", needs=("s",), revise=Revise("result.ok", "s")),
                "before": Step(skill="y"),
                "s": Step(chain=Chain((call("a"), call("b"), call("c"))), needs=("before",), when="input.go"),
            }
        )
    )
    assert list(steps) == ["before", "s__1", "s__2", "s", "after"], "each after those that it needs"
    assert (steps["s__1"].needs, steps["s__1"].when) == (("before",), "input.go")
    assert steps["s"].needs == ("s__2",)
    assert steps["after"].revise == Revise("result.ok", "s__1"), "back to a pattern is back to its beginning"


def test_what_is_written_out_already_stays_as_it_is():
    once = expanded(Definition({"s": Step(swarm=SWARM), "h": Step(hybrid=HYBRID, needs=("s",))}))
    assert written_out(once) == once
    assert list(written_out(once)) == list(once)


@given(st.permutations(range(8)), st.data())
def test_order_follows_needs_and_otherwise_the_definition(places, data):
    steps = {}
    for place in places:
        before = st.sets(st.integers(0, place - 1), max_size=2) if place else st.just(set())
        steps[f"s{place}"] = Step(skill="x", needs=tuple(f"s{need}" for need in data.draw(before)))
    found = list(expanded(Definition(steps)))
    assert sorted(found) == sorted(steps)
    assert all(found.index(need) < found.index(name) for name, step in steps.items() for need in step.needs)
    free = [name for name in found if not steps[name].needs]
    given_order = list(steps)
    assert all(given_order.index(one) < given_order.index(other) for one, other in pairwise(free))


def test_a_circle_has_no_order():
    with pytest.raises(ValueError, match="need one another: a, b"):
        expanded(Definition({"a": Step(skill="x", needs=("b",)), "b": Step(skill="x", needs=("a",))}))


def test_each_link_of_a_chain_gets_the_output_of_the_one_before():
    links = (call("a"), call("b", input={"got": "${steps.s__1.output}"}), call("c", compensate=Compensation("u")))
    run = Run({"s": Step(chain=Chain(links), output="result.end")}, "given")
    run.succeed("run-1", "one")
    run.succeed("run-2", "two")
    run.succeed("run-3", {"end": "three"})
    assert run.asked == [("a", "given"), ("b", {"got": "one"}), ("c", "two")]
    assert run.ended.output.inline == "three"


def test_a_swarm_works_coordinates_asks_for_more_and_joins_everything_with_the_failures():
    run = Run({"s": Step(swarm=SWARM)}, "goal")
    run.succeed("run-1", {"tasks": ["t1", {"skill": "expert", "n": 2}]})
    assert run.asked[1:] == [("work", "t1"), ("expert", {"skill": "expert", "n": 2})], "a task may name its skill"
    run.succeed("run-2", "r1")
    run.fail("run-3", "too hard")
    first = {"task": "t1", "result": "r1", "error": None}
    second = {"task": {"skill": "expert", "n": 2}, "result": None, "error": "too hard"}
    seen = {"tasks": [first["task"], second["task"]], "results": [first], "failures": [second]}
    assert run.asked[-1] == ("lead", seen)
    run.succeed("run-4", {"tasks": ["t3"]})
    assert run.asked[-1] == ("work", "t3")
    run.succeed("run-5", "r3")
    third = {"task": "t3", "result": "r3", "error": None}
    seen = {"tasks": [*seen["tasks"], "t3"], "results": [first, third], "failures": [second]}
    assert run.asked[-1] == ("lead", seen)
    run.succeed("run-6", {"tasks": []})
    assert run.asked[-1] == ("join", seen)
    run.succeed("run-7", "all")
    assert run.ended.output.inline == "all"


def test_a_swarm_stops_asking_for_more_after_its_rounds():
    run = Run({"s": Step(swarm=Swarm(call("split"), call("work"), call("join"), call("lead"), rounds=2))})
    run.succeed("run-1", ["t1"])
    for more in ("run-2", "run-4"):
        run.succeed(more, "r")
        run.succeed(f"run-{int(more[-1]) + 1}", {"tasks": ["more"]})
    assert [skill for skill, _ in run.asked] == ["split", "work", "lead", "work", "lead", "join"]


def test_a_swarm_that_was_sent_back_from_outside_begins_with_tasks_of_its_own_again():
    steps = {
        "s": Step(swarm=Swarm(call("split"), call("work"), call("join"), call("lead"))),
        "review": Step(skill="review", needs=("s",), revise=Revise("result.ok", "s")),
    }
    run = Run(steps, "goal")
    run.succeed("run-1", ["old"])
    run.succeed("run-2", "r-old")
    run.succeed("run-3", {"tasks": []})
    run.succeed("run-4", "joined")
    run.succeed("run-5", {"ok": False, "tasks": ["not these"]})
    assert run.asked[-1] == ("split", "goal")
    run.succeed("run-6", ["new"])
    assert run.asked[-1] == ("work", "new")
    run.succeed("run-7", "r-new")
    skill, seen = run.asked[-1]
    assert (skill, seen["tasks"]) == ("lead", ["new"])


def test_a_hybrid_plans_divides_works_writes_and_is_assured_with_a_bounded_number_of_revisions():
    run = Run({"h": Step(hybrid=HYBRID)}, "goal")
    run.succeed("run-1", "the plan")
    assert run.asked[-1] == ("lead", {"plan": "the plan", "remarks": None})
    run.succeed("run-2", {"tasks": ["t"]})
    run.succeed("run-3", "r")
    result = {"task": "t", "result": "r", "error": None}
    assert run.asked[-1] == ("write", {"plan": "the plan", "tasks": ["t"], "results": [result], "failures": []})
    run.succeed("run-4", "draft")
    assert run.asked[-1] == ("check", {"plan": "the plan", "result": "draft"})
    run.succeed("run-5", {"accepted": False, "remarks": "shorter"})
    assert run.all(Revised)[0].steps == ("h__supervise", "h__work", "h__synthesise", "h")
    assert run.asked[-1] == ("lead", {"plan": "the plan", "remarks": "shorter"})
    assert run.step("h__synthesise").history[0].inline == "draft"
    run.succeed("run-6", ["t2"])
    run.succeed("run-7", "r2")
    assert run.asked[-1][1]["tasks"] == ["t2"], "of this revision alone"
    run.succeed("run-8", "short")
    run.succeed("run-9", {"accepted": True})
    assert run.ended.output.inline == "short", "the output is that of the synthesis"


@pytest.mark.parametrize(("otherwise", "outcome"), [("fail", "failed"), ("accept", "completed")])
def test_a_hybrid_that_is_never_accepted_ends_as_it_says(otherwise, outcome):
    hybrid = Hybrid(call("plan"), call("lead"), call("work"), call("write"), call("check"), 0, otherwise)
    run = Run({"h": Step(hybrid=hybrid)})
    for id, output in enumerate(["plan", ["t"], "r", "draft", {"accepted": False}], 1):
        run.succeed(f"run-{id}", output)
    assert run.ended.outcome == outcome
