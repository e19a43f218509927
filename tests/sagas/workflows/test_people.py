"""What people say to runs: they approve and reject, cancel, retry and give up."""

import asyncio

from domain import workflow
from domain.skill import RetryPolicy
from tests.sagas.workflows.story import running

ONCE = RetryPolicy(attempts=1)


async def test_a_step_waits_for_approval(log_url):
    async with running(log_url, "approve") as story:
        steps = {
            "a": {"approval": {"question": "Spend ${input.sum}?"}},
            "b": {"skill": story.skill("spend"), "input": "${steps.a.output}", "needs": ["a"]},
        }
        await story.publish(steps)
        await story.start({"sum": 7})
        (asked,) = await story.waits_for(workflow.StepStarted)
        assert asked.question == "Spend 7?"
        await story.accepted("workflow.approve", story.of("run"), {"step": "a", "note": "well"})
        ended = await story.ended()
        assert ended.output.inline == {"approved": True, "note": "well"}


async def test_nobody_answers_and_the_default_is_taken(log_url):
    async with running(log_url, "default") as story:
        ended = await story.run({"a": {"approval": {"question": "Well?", "within": 0.8}}})
        assert ended.outcome == "failed"
        (rejected,) = await story.events(workflow.Rejected)
        assert rejected.by_default


async def test_a_run_that_is_cancelled_ends_what_is_under_way_and_undoes_what_was_done(log_url):
    async with running(log_url, "cancel") as story:
        begun = asyncio.Event()
        ended_early = asyncio.Event()

        async def hang(given):
            begun.set()
            try:
                await asyncio.sleep(30)
            finally:
                ended_early.set()

        steps = {
            "a": {"skill": story.skill("book"), "compensate": {"skill": story.skill("undo")}},
            "b": {"skill": story.skill("hang", hang), "needs": ["a"]},
        }
        await story.publish(steps)
        await story.start("seat")
        await asyncio.wait_for(begun.wait(), 10)
        await story.accepted("workflow.cancel", story.of("run"), {"reason": "changed my mind"})
        ended = await story.ended()
        assert (ended.outcome, ended.reason) == ("cancelled", "changed my mind")
        assert ended_early.is_set()
        assert story.done[-1][0] == "undo"


async def test_cancelling_a_run_cancels_the_sub_workflows_that_it_waits_for(log_url):
    async with running(log_url, "cancel-child") as story:
        await story.publish({"s": {"approval": {"question": "Well?"}}}, name="inner")
        await story.publish({"a": {"workflow": story.of("inner")}})
        await story.start()
        child = f"{story.of('run')}-1"
        await story.waits_for(workflow.StepStarted, child)
        await story.accepted("workflow.cancel", story.of("run"), {"reason": "enough"})
        assert (await story.ended()).outcome == "cancelled"
        assert (await story.ended(child)).outcome == "cancelled"


async def test_a_parked_call_is_retried_by_a_person(log_url):
    async with running(log_url, "park") as story:
        broken = True

        def sometimes(given):
            if broken:
                raise ValueError("down")
            return "well"

        steps = {"s": {"skill": story.skill("work", sometimes, retry=ONCE), "on_failure": "park"}}
        await story.publish(steps)
        await story.start()
        await story.waits_for(workflow.Parked)
        broken = False
        await story.accepted("workflow.retry", story.of("run"))
        assert (await story.ended()).output.inline == "well"
        assert [attempt for _, _, attempt, _ in story.done] == [1, 2]


async def test_a_parked_call_that_is_given_up_has_failed(log_url):
    async with running(log_url, "give-up") as story:

        def fail(given):
            raise ValueError("down")

        await story.publish({"s": {"skill": story.skill("work", fail, retry=ONCE), "on_failure": "park"}})
        await story.start()
        (parked,) = await story.waits_for(workflow.Parked)
        await story.accepted("workflow.give_up", story.of("run"), {"call": parked.call, "reason": "hopeless"})
        ended = await story.ended()
        assert (ended.outcome, "hopeless" in ended.reason) == ("failed", True)


async def test_a_run_is_cancelled_before_the_engine_has_heard_of_it(log_url):
    async with running(log_url, "early") as story:
        await story.publish({"s": {"skill": story.skill("work")}})
        await story.crash()
        await story.start()
        await story.accepted("workflow.cancel", story.of("run"), {"reason": "never mind"})
        story.engine()
        assert (await story.ended()).outcome == "cancelled"
        assert story.done == []
