"""A definition is validated whole, and its versions never change."""

from domain.decider import Refusal
from domain.skill import RetryPolicy
from domain.workflow_definition import (
    Adaptive,
    Approval,
    Candidate,
    Chain,
    Compensation,
    Definition,
    Hybrid,
    Partial,
    Publish,
    Published,
    Revise,
    SkillCall,
    Step,
    Swarm,
    Withdraw,
    Withdrawn,
    workflow_definition,
)
from domain.workflow_faults import faults

ONE = Definition({"a": Step(skill="read")})
TWO = Definition({"a": Step(skill="read"), "b": Step(skill="write", needs=("a",))})


def told(steps, **more):
    return {fault.where: fault.what for fault in faults(Definition(steps, **more))}


def test_versions_follow_one_another_and_the_same_is_published_once():
    decide, fold = workflow_definition.decide, workflow_definition.fold
    state = fold([Published(1, ONE)])
    assert decide(Publish(ONE), workflow_definition.initial) == (Published(1, ONE),)
    assert decide(Publish(ONE), state) == ()
    assert decide(Publish(TWO), state) == (Published(2, TWO),)


def test_what_is_withdrawn_is_back_when_it_is_published_again():
    decide, fold = workflow_definition.decide, workflow_definition.fold
    state = fold([Published(1, ONE), Withdrawn("wrong")])
    assert decide(Withdraw("again"), state) == ()
    assert decide(Publish(ONE), state) == (Published(2, ONE),)
    refused = decide(Withdraw(), workflow_definition.initial)
    assert isinstance(refused, Refusal)
    assert refused.name == "workflow_definition_not_found"


def test_every_fault_is_found_at_once():
    found = told(
        {
            "none": Step(),
            "both": Step(skill="a", workflow="b"),
            "lost": Step(skill="a", needs=("nowhere", "lost")),
            "back": Step(skill="a", revise=Revise("result.ok", "none")),
            "texts": Step(skill="a", input={"x": ["${a ==}"]}, when="foo(input)"),
            "two": Step(skill="a", version=2),
        },
        output="${steps.absent.output}",
        input={"type": "nonsense"},
    )
    assert found.keys() == {
        "/steps/none",
        "/steps/both",
        "/steps/lost/needs/0",
        "/steps/lost/needs/1",
        "/steps/back/revise/back_to",
        "/steps/texts/input/x/0",
        "/steps/texts/when",
        "/steps/two/version",
        "/output",
        "/input/type",
    }
    assert "skill and workflow" in found["/steps/both"]


def test_every_circle_is_named():
    def skill(*needs):
        return Step(skill="s", needs=needs)

    found = faults(Definition({"a": skill("b"), "b": skill("a"), "c": skill("d"), "d": skill("e"), "e": skill("c")}))
    assert len(found) == 2
    assert {frozenset(fault.what.rsplit(": ", maxsplit=1)[1].split(" <- ")) for fault in found} == {
        frozenset("ab"),
        frozenset("cde"),
    }


def test_what_does_not_apply_to_a_kind_of_step_is_said():
    found = told(
        {
            "ask": Step(approval=Approval("Sure?"), each="input.list", retry=RetryPolicy(), output="result"),
            "wait": Step(wait=5.0, input=1, on_failure="park"),
            "inner": Step(workflow="w", on_failure="park"),
            "team": Step(skill="a", team=("b",), parallel=2, partial=Partial(0.5)),
            "sub": Step(workflow="w", retry=RetryPolicy(), on_failure="park", version="1"),
            "chain": Step(chain=Chain((SkillCall("a"),)), on_failure="continue", compensate=Compensation("u")),
        }
    )
    assert found.keys() == {
        "/steps/ask/each",
        "/steps/ask/retry",
        "/steps/ask/output",
        "/steps/wait/input",
        "/steps/wait/on_failure",
        "/steps/team/team",
        "/steps/team/parallel",
        "/steps/team/partial",
        "/steps/sub/retry",
        "/steps/sub/version",
        "/steps/chain/on_failure",
        "/steps/chain/compensate",
    }
    assert found["/steps/team/team"] == "it needs each"


def test_expressions_read_only_what_is_there_to_read():
    found = told(
        {
            "a": Step(skill="s", input="${item}"),
            "b": Step(skill="s", each="input.list", input="${item}", needs=("a",), when="result.x"),
            "aside": Step(skill="s", input="${steps.b.output}"),
            "choose": Step(adaptive=Adaptive("turns", (Candidate("s", score="inputs.n"), Candidate("s")))),
            "undo": Step(skill="s", compensate=Compensation("u", input="${[given, result, item]}")),
        }
    )
    assert found.keys() == {
        "/steps/a/input",
        "/steps/b/when",
        "/steps/aside/input",
        "/steps/choose/adaptive/candidates/0/score",
        "/steps/choose/adaptive/candidates/1/skill",
        "/steps/undo/compensate/input",
    }


def test_parts_of_patterns_have_their_names_for_themselves_and_count():
    link = SkillCall("s", input="${bad(}")
    found = told({"a__b": Step(skill="s"), "c": Step(chain=Chain((SkillCall("s"), link))), "x" * 41: Step(skill="s")})
    assert found.keys() == {"/steps/a__b", "/steps/c/chain/links/1/input", "/steps/" + "x" * 41}
    many = {f"c{place}": Step(chain=Chain((SkillCall("s"),) * 50)) for place in range(5)}
    assert "250 steps" in told(many)["/steps"]


def test_a_pattern_without_faults_has_none():
    call = SkillCall("s")
    swarm = Swarm(call, SkillCall("s", input={"task": "${item}"}), call, call)
    steps = {
        "plan": Step(hybrid=Hybrid(call, call, call, call, call)),
        "all": Step(swarm=swarm, needs=("plan",)),
        "end": Step(skill="s", needs=("all",), input="${steps.all__work.output}", revise=Revise("result.ok", "plan")),
    }
    assert told(steps) == {}


def test_a_schema_refers_to_nothing_outside_itself():
    """So that no run makes the platform fetch something."""
    outside = {"$ref": "http://127.0.0.1:9/secret.json"}
    definition = Definition({"a": Step(skill="s")}, input={"properties": {"x": outside, "y": {"pattern": "("}}})
    assert {fault.where for fault in faults(definition)} == {"/input/properties/x/$ref", "/input/properties/y/pattern"}
