"""Starting runs: with everything looked up; and what is said to runs reaches whoever works on them."""

from datetime import UTC, datetime, timedelta

import pytest

from domain import skill, workflow, workflow_definition
from domain.decider import Refusal
from domain.wakeup import Ask, wakeup
from domain.workflow import Begin, Grants, Value
from domain.workflow_definition import Chain, Definition, SkillCall, Step
from handlers.resolve import Part, resolve

NUMBER = {"type": "object", "properties": {"n": {"type": "integer"}, "m": {"type": "integer"}}, "required": ["n"]}
first = Definition({"s": Step(skill="double")}, input=NUMBER)
second = Definition({"s": Step(chain=Chain((SkillCall("double"), SkillCall("add"))))}, timeout=60.0, output="${input}")
outer = Definition(
    {
        **{name: Step(workflow=name) for name in ("flow", "gone", "nothing")},
        "inner": Step(workflow="inner", version=1),
    }
)
states = {
    "outer": (workflow_definition.Published(1, outer),),
    "inner": (workflow_definition.Published(1, first), workflow_definition.Published(2, first)),
    "flow": (workflow_definition.Published(1, first), workflow_definition.Published(2, second)),
    "gone": (workflow_definition.Published(1, first), workflow_definition.Withdrawn("")),
    "double": (
        skill.Registered(skill.Specification("1", input=NUMBER)),
        skill.Routed({"1": 1}),
        skill.Registered(skill.Specification("0")),
        skill.Retired("0", "old"),
    ),
}


OUTSIDE = {"properties": {"n": {"$ref": "http://127.0.0.1:9/secret.json"}}}
UNSOUND = {
    "outside": (OUTSIDE, ["/properties/n/$ref: it refers to http://127.0.0.1:9/secret.json"]),
    "no-type": ({"properties": {"n": {"type": "foo"}}}, ["/properties/n/type: 'foo'"]),
    "no-pattern": ({"properties": {"n": {"pattern": "("}}}, ["/properties/n/pattern: '(' is not a 'regex'"]),
    "nowhere": ({"$defs": {"a": True}, "$ref": "#/nowhere"}, ["/$ref: it refers to #/nowhere"]),
    "to-a-text": (
        {"title": "a", "properties": {"n": {"$ref": "#/title"}}},
        ["/properties/n/$ref: it refers to #/title"],
    ),
    "several": ({"type": "foo", "required": 5, "$ref": "file:///a"}, ["/type: 'foo'", "/required: 5", "/$ref: it "]),
}
states |= {
    name: (skill.Registered(skill.Specification("1", input=schema)), skill.Routed({"1": 1}))
    for name, (schema, _) in UNSOUND.items()
}
states["endless"] = (skill.Registered(skill.Specification("1", input={"$ref": "#"})), skill.Routed({"1": 1}))


async def resolved(command, id="run", decider=workflow.workflow):
    async def load(decider, id):
        return decider.fold(states.get(id, ()))

    return await resolve(decider, id, command, load)


async def test_a_run_begins_with_the_version_that_is_asked_for():
    (part,) = await resolved(workflow.Start("flow", 1, {"n": 1}, {"locale": "de"}, Grants(network=False), 5.0))
    steps = {"s": Step(skill="double")}
    begin = Begin("flow", 1, steps, Value({"n": 1}), None, None, {"locale": "de"}, Grants(network=False), 5.0)
    assert part == Part(workflow.workflow, "run", begin)


async def test_without_a_version_it_is_the_latest_with_its_patterns_written_out_and_its_time():
    (part,) = await resolved(workflow.Start("flow"))
    begin = part.command
    assert (begin.version, list(begin.steps), begin.output) == (2, ["s__1", "s"], "${input}")
    assert timedelta(seconds=55) < begin.until - datetime.now(UTC) <= timedelta(seconds=60)


async def test_it_stays_with_the_versions_of_the_workflows_that_it_names():
    """What is not there, or not any more, is looked for when it is asked for."""
    (part,) = await resolved(workflow.Start("outer"))
    assert part.command.pinned == {"flow": 2}


@pytest.mark.parametrize(
    ("command", "name"),
    [
        (workflow.Start("nothing"), "workflow_definition_not_found"),
        (workflow.Start("gone"), "workflow_definition_withdrawn"),
        (workflow.Start("flow", 3), "version_not_found"),
        (workflow.Invoke("nothing"), "skill_not_found"),
        (workflow.Invoke("double", "9"), "version_not_found"),
        (workflow.Invoke("double", "0"), "version_retired"),
    ],
)
async def test_what_is_not_there_cannot_be_started(command, name):
    assert (await resolved(command)).name == name


async def test_every_fault_of_an_input_is_told():
    refused = await resolved(workflow.Start("flow", 1, {"n": "x", "m": "y"}))
    assert refused == Refusal(
        "input_invalid", "/input/m: 'y' is not of type 'integer'; /input/n: 'x' is not of type 'integer'"
    )


async def test_ids_from_which_no_calls_could_grow_are_refused():
    assert (await resolved(workflow.Start("flow"), "r" * 81)).name == "id_too_long"
    assert (await resolved(workflow.Invoke("double", input={"n": 1}), "r" * 81)).name == "id_too_long"


async def test_one_skill_alone_is_a_run_of_one_step():
    (part,) = await resolved(workflow.Invoke("double", input={"n": 1}, timeout=5.0, park=False))
    step = Step(skill="double", timeout=5.0, on_failure="fail")
    assert part.command == Begin("", 0, {"call": step}, Value({"n": 1}))
    (part,) = await resolved(workflow.Invoke("double", input={"n": 1}))
    assert part.command.steps["call"].on_failure == "park"


async def test_one_skill_alone_is_held_to_its_input_too():
    assert (await resolved(workflow.Invoke("double", input={}))).name == "input_invalid"


@pytest.mark.parametrize(
    "command",
    [
        workflow.Approve("s"),
        workflow.Reject("s"),
        workflow.Cancel(),
        workflow.Retry(),
        workflow.GiveUp("run-1", "no"),
        workflow.ChildEnded("run-1", "completed"),
    ],
)
async def test_what_is_said_to_a_run_wakes_whoever_works_on_it_in_the_same_write(command):
    assert await resolved(command) == [Part(workflow.workflow, "run", command), Part(wakeup, "run", Ask())]


async def test_a_definition_that_cannot_run_is_refused_with_every_fault():
    wrong = Definition({"a": Step(), "b": Step(skill="double", needs=("c",))})
    refused = await resolved(workflow_definition.Publish(wrong), "flow", workflow_definition.workflow_definition)
    assert refused.name == "definition_invalid"
    assert "/steps/a" in refused.reason
    assert "/steps/b" in refused.reason


async def test_a_definition_that_can_run_is_published():
    publish = workflow_definition.Publish(first)
    decider = workflow_definition.workflow_definition
    assert await resolved(publish, "flow", decider) == [Part(decider, "flow", publish)]


@pytest.mark.parametrize("field", ["input", "output"])
@pytest.mark.parametrize(("schema", "told"), UNSOUND.values(), ids=UNSOUND)
async def test_a_skill_with_a_schema_that_cannot_be_applied_is_refused_with_every_fault(schema, told, field):
    register = skill.Register(skill.Specification("1", **{field: schema}))
    refused = await resolved(register, "double", skill.skill)
    assert refused.name == "skill_invalid"
    for each in told:
        assert f"/specification/{field}{each}" in refused.reason


async def test_a_skill_whose_schemas_refer_to_their_own_parts_is_registered():
    within = {"$ref": "#/$defs/a", "$defs": {"a": {"$anchor": "n", "type": "integer"}, "b": {"$ref": "#n"}}}
    elsewhere = {"$id": "https://example.org/a", "$defs": {"b": {"$id": "b", "$ref": "#/$defs/c", "$defs": {"c": {}}}}}
    register = skill.Register(skill.Specification("1", input=within, output=elsewhere))
    assert await resolved(register, "double", skill.skill) == [Part(skill.skill, "double", register)]


@pytest.mark.parametrize("schedule", ["", "garbage", "61 * * * *", "0 0 30 2 *", "* * * *", "* * * * * * *"])
async def test_a_scheduled_skill_that_never_has_a_moment_is_refused(schedule):
    register = skill.Register(skill.Specification("1", scaling="scheduled", schedule=schedule))
    refused = await resolved(register, "double", skill.skill)
    assert refused.name == "skill_invalid"
    assert refused.reason.startswith(f"/specification/schedule: {schedule!r} names no moment: ")


@pytest.mark.parametrize("scaling", ["horizontal", "queue_based", "event_driven"])
async def test_a_schedule_that_nobody_would_look_at_is_refused(scaling):
    refused = await resolved(
        skill.Register(skill.Specification("1", scaling=scaling, schedule="0 2 * * *")), "double", skill.skill
    )
    told = f"/specification/schedule: '0 2 * * *' would never be looked at: scaling is {scaling}, not scheduled"
    assert refused == Refusal("skill_invalid", told)


@pytest.mark.parametrize("schedule", ["0 2 * * *", "*/3 * * * * *"])
async def test_a_scheduled_skill_with_moments_is_registered(schedule):
    register = skill.Register(skill.Specification("1", scaling="scheduled", schedule=schedule))
    assert await resolved(register, "double", skill.skill) == [Part(skill.skill, "double", register)]


async def test_costs_that_could_not_be_added_up_are_refused():
    cost = skill.Cost(per_call=1.0, currency="JPY")
    refused = await resolved(skill.Register(skill.Specification("1", cost=cost)), "double", skill.skill)
    told = "/specification/cost/currency: 'JPY': runs, budgets and figures count in EUR alone"
    assert refused == Refusal("skill_invalid", told)


async def test_every_fault_of_a_skill_is_named_at_once():
    wrong = skill.Specification("1", output={"type": "foo"}, schedule="x", cost=skill.Cost(currency="USD"))
    refused = await resolved(skill.Register(wrong), "double", skill.skill)
    output, schedule, currency = refused.reason.split("; ")
    assert output.startswith("/specification/output/type: ")
    assert schedule.startswith("/specification/schedule: ")
    assert currency.startswith("/specification/cost/currency: ")


async def test_a_schema_nested_without_end_is_a_fault_like_any_other():
    deep: dict = {}
    for _ in range(400):
        deep = {"not": deep}
    refused = await resolved(skill.Register(skill.Specification("1", input=deep)), "double", skill.skill)
    assert refused == Refusal("skill_invalid", "/specification/input: it is nested too deeply")


@pytest.mark.parametrize("name", [*UNSOUND, "endless"])
async def test_a_schema_from_before_they_were_looked_at_refuses_its_input_and_fetches_nothing(name, monkeypatch):
    monkeypatch.setattr("urllib.request.urlopen", lambda *_, **__: pytest.fail("it fetches"))
    refused = await resolved(workflow.Invoke(name, input={"n": "x"}))
    assert refused.name == "input_invalid"
    assert "cannot be applied" in refused.reason
