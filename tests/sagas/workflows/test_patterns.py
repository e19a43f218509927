"""What a workflow can be made of, each on the real engine from its command to its end."""

import asyncio

from domain import workflow
from domain.skill import Cost, RetryPolicy
from tests.sagas.workflows.story import running

NO_RETRY = RetryPolicy(attempts=1)


async def test_a_chain_hands_on_what_each_link_gives(log_url):
    async with running(log_url, "chain") as story:
        double, add = story.skill("double", lambda n: 2 * n), story.skill("add", lambda n: n + 1)
        ended = await story.run({"s": {"chain": {"links": [{"skill": double}, {"skill": add}, {"skill": double}]}}}, 5)
        assert (ended.outcome, ended.output.inline) == ("completed", 22)
        assert story.names_done() == ["double", "add", "double"]


async def test_what_does_not_need_each_other_runs_side_by_side(log_url):
    """Both must be under way before either ends."""
    async with running(log_url, "parallel") as story:
        both = asyncio.Barrier(2)

        async def meet(given):
            await both.wait()
            return given

        meeting = story.skill("meet", meet)
        joined = story.skill("join", lambda given: given["a"] + given["b"])
        steps = {
            "a": {"skill": meeting, "input": "${input.a}"},
            "b": {"skill": meeting, "input": "${input.b}"},
            "c": {"skill": joined, "needs": ["a", "b"]},
        }
        ended = await story.run(steps, {"a": 1, "b": 2})
        assert ended.output.inline == 3


async def test_a_condition_skips_a_step_and_what_needs_it(log_url):
    async with running(log_url, "condition") as story:
        work = story.skill("work")
        steps = {
            "a": {"skill": work},
            "b": {"skill": work, "needs": ["a"], "when": "input > `5`"},
            "c": {"skill": work, "needs": ["b"]},
        }
        ended = await story.run(steps, 1)
        assert ended.outcome == "completed"
        assert len(story.done) == 1
        assert [each.step for each in await story.events(workflow.StepSkipped)] == ["b", "c"]


async def test_a_list_is_worked_on_item_by_item_and_no_more_at_a_time_than_may_be(log_url):
    async with running(log_url, "each") as story:
        now, most = 0, 0

        async def square(n):
            nonlocal now, most
            now += 1
            most = max(most, now)
            await asyncio.sleep(0.01)
            now -= 1
            return n * n

        steps = {"s": {"skill": story.skill("square", square), "each": "input", "parallel": 3}}
        ended = await story.run(steps, list(range(20)))
        assert ended.output.inline == [n * n for n in range(20)]
        assert most == 3


async def test_thousands_of_events_of_one_moment_are_written_in_parts(log_url):
    async with running(log_url, "wide") as story:
        steps = {"s": {"skill": story.skill("same"), "each": "input", "parallel": 1_000}}
        ended = await story.run(steps, list(range(1_000)))
        assert ended.output.inline == list(range(1_000))
        assert len(story.done) == 1_000


async def test_a_swarm_survives_the_failure_of_some(log_url):
    async with running(log_url, "swarm") as story:

        def work(n):
            if n == 2:
                raise ValueError("not this one")
            return n * 10

        swarm = {
            "decompose": {"skill": story.skill("split", lambda text: [1, 2, 3])},
            "work": {"skill": story.skill("work", work), "retry": {"attempts": 1}},
            "aggregate": {"skill": story.skill("sum", lambda all: sum(each["result"] for each in all["results"]))},
            "partial": {"share": 0.6},
        }
        ended = await story.run({"s": {"swarm": swarm}}, "task")
        assert ended.output.inline == 40


async def test_a_hybrid_is_sent_back_once_by_its_assurance(log_url):
    async with running(log_url, "hybrid") as story:
        hybrid = {
            "plan": {"skill": story.skill("plan", lambda given: {"parts": given})},
            "supervise": {"skill": story.skill("supervise", lambda given: [1, 2] if given["remarks"] is None else [7])},
            "work": {"skill": story.skill("work", lambda n: n * 10)},
            "synthesise": {"skill": story.skill("sum", lambda given: sum(r["result"] for r in given["results"]))},
            "assure": {
                "skill": story.skill(
                    "assure", lambda given: {"accepted": given["result"] == 70, "remarks": "must be 70"}
                )
            },
            "revisions": 1,
        }
        ended = await story.run({"s": {"hybrid": hybrid}}, "x")
        assert (ended.outcome, ended.output.inline) == ("completed", 70)
        assert len(await story.events(workflow.Revised)) == 1
        assert story.names_done().count("plan") == 1


async def test_an_adaptive_step_chooses_by_what_the_turns_before_have_left(log_url):
    async with running(log_url, "adaptive") as story:
        grow, shrink = story.skill("grow", lambda n: n + 7), story.skill("shrink", lambda n: n - 1)
        adaptive = {
            "goal": "result == `20`",
            "candidates": [
                {"skill": grow, "when": "!turns || turns[-1].output < `20`", "input": "${turns[-1].output || input}"},
                {"skill": shrink, "when": "turns && turns[-1].output > `20`", "input": "${turns[-1].output}"},
            ],
        }
        ended = await story.run({"s": {"adaptive": adaptive}}, 1)
        assert ended.output.inline == 20
        assert story.names_done() == ["grow", "grow", "grow", "shrink", "shrink"]
        chosen = await story.events(workflow.Chosen)
        assert [each.skill for each in chosen] == [grow, grow, grow, shrink, shrink, None]


async def test_a_sub_workflow_gives_its_output_to_the_one_that_asked(log_url):
    async with running(log_url, "child") as story:
        double = story.skill("double", lambda n: 2 * n)
        await story.publish({"s": {"skill": double}}, name="inner", input={"type": "integer"})
        steps = {"a": {"workflow": story.of("inner"), "input": "${input}"}, "b": {"skill": double, "needs": ["a"]}}
        ended = await story.run(steps, 4)
        assert ended.output.inline == 16
        child = await story.state(f"{story.of('run')}-1")
        assert child.parent == workflow.Parent(story.of("run"), f"{story.of('run')}-1", 1, (story.of("flow"),))


async def test_a_sub_workflow_is_not_begun_with_what_it_does_not_take(log_url):
    async with running(log_url, "child-input") as story:
        await story.publish({"s": {"skill": story.skill("any")}}, name="inner", input={"type": "integer"})
        ended = await story.run({"a": {"workflow": story.of("inner"), "input": "text"}})
        assert ended.outcome == "failed"
        assert "not of type 'integer'" in ended.reason
        assert await story.log(f"{story.of('run')}-1") == []


async def test_a_failed_sub_workflow_fails_the_step_that_asked(log_url):
    async with running(log_url, "child-fails") as story:

        def fail(given):
            raise ValueError("broken")

        skill = story.skill("fail", fail, retry=NO_RETRY)
        await story.publish({"s": {"skill": skill}}, name="inner")
        ended = await story.run({"a": {"workflow": story.of("inner")}})
        assert ended.outcome == "failed"
        assert "broken" in ended.reason


async def test_a_wait_ends_by_a_durable_timer(log_url):
    async with running(log_url, "wait") as story:
        work = story.skill("work")
        ended = await story.run({"w": {"wait": 1.2}, "s": {"skill": work, "needs": ["w"]}}, 1)
        assert ended.outcome == "completed"
        first, *_, last = await story.log()
        assert (last.time - first.time).total_seconds() >= 1.2


async def test_one_skill_alone_is_a_run_too(log_url):
    async with running(log_url, "invoke") as story:
        await story.publish({"s": {"skill": story.skill("double", lambda n: 2 * n)}})
        await story.accepted("workflow.invoke", story.of("run"), {"skill": story.of("double"), "input": 3})
        ended = await story.ended()
        assert (ended.outcome, ended.output.inline) == ("completed", 6)


async def test_a_run_stays_with_the_versions_of_the_workflows_that_were_there_when_it_began(log_url):
    async with running(log_url, "pinned") as story:
        gate, opened = asyncio.Event(), story.skill("gate", lambda given: gate.wait())
        first, second = story.skill("first", lambda given: "first"), story.skill("second", lambda given: "second")
        await story.publish({"x": {"skill": first}}, "inner")
        inner = {"workflow": story.of("inner")}
        await story.publish({"i": inner}, "middle")
        steps = {
            "gate": {"skill": opened},
            "direct": {**inner, "needs": ["gate"]},
            "middle": {"workflow": story.of("middle"), "needs": ["gate"]},
        }
        await story.publish(steps, output={"direct": "${steps.direct.output}", "middle": "${steps.middle.output}"})
        await story.start()
        await story.until(lambda: asyncio.sleep(0, story.done), bool)
        await story.publish({"x": {"skill": second}}, "inner")
        gate.set()
        assert (await story.ended()).output.inline == {"direct": "first", "middle": "second"}
        again = await story.command("workflow.start", story.of("run"), {"definition": story.of("flow")})
        assert (again.outcome, len(await story.events(workflow.Started))) == ("accepted", 1)
        other = await story.command("workflow.start", story.of("run"), {"definition": story.of("flow"), "budget": 1.0})
        assert (other.outcome, other.refusal) == ("refused", "run_exists")


async def test_what_sub_workflows_side_by_side_cost_stays_within_the_budget(log_url):
    async with running(log_url, "shared") as story:
        dear = story.skill("dear", cost=Cost(per_call=1.0))
        await story.publish({"x": {"skill": dear, "each": "`[1, 2, 3, 4]`", "partial": {"share": 0.0}}}, "inner")
        part = {"workflow": story.of("inner"), "on_failure": "continue"}
        await story.publish({"a": part, "b": part})
        await story.start(budget=5.0)
        ended = await story.ended()
        assert (ended.outcome, ended.cost, len(story.done)) == ("completed", 4.0, 4)
