"""Skills in the engine's own event loop: what each call is told is its own, and what it gives is held to its types."""

from typing import Any

import msgspec
import pytest

from domain import workflow
from domain.skill import RetryPolicy
from domain.workflow import Value
from sagas.workflows.local import Local
from skills.executing import Executor
from skills.protocol import Failed, Succeeded
from skills.skill import Context, skill, skill_of
from tests.sagas.workflows.story import running
from tests.skills.calls import NO_BLOBS, work


def told(fraction: float, note: str = "") -> None:
    del fraction, note


async def performed(function, given, **options):
    """In the event loop, and in one beside it as other workers do it."""
    skill("s", **options)(function)
    executor = Executor(NO_BLOBS)
    beside = await executor.run(skill_of(function), work("s", given))
    here = await Local(executor.run)(skill_of(function), work("s", given), told, lambda: None)
    await executor.close()
    return [msgspec.structs.replace(each, seconds=0.0) for each in (here, beside)]


async def test_an_output_that_is_not_what_the_skill_says_is_the_same_failure_here_as_anywhere():
    async def count(given: Any, context: Context) -> int:
        return given

    assert await performed(count, 3) == [Succeeded(Value(3))] * 2
    here, beside = await performed(count, "three")
    assert isinstance(here, Failed)
    assert here == beside
    assert here.reason == "what it gives is not what it says: Expected `int`, got `str`"
    assert not here.retryable


@pytest.mark.parametrize("fault", [object(), SystemExit("bye"), ValueError("broken")])
async def test_so_is_what_is_no_json_and_whatever_it_raises(fault):
    async def wrong(given: Any, context: Context) -> Any:
        if isinstance(fault, BaseException):
            raise fault
        return fault

    here, beside = await performed(wrong, 1)
    assert isinstance(here, Failed)
    assert here == beside


async def test_what_a_skill_changes_of_its_input_or_context_nobody_else_sees(log_url):
    async with running(log_url, "apart") as story:
        seen = []

        async def scribble(given: Any, context: Context) -> Any:
            seen.append((list(given["list"]), list(context.user.values["notes"])))
            given["list"].append("mine")
            context.user.values["notes"].append("mine")
            if context.system.attempt == 1:
                raise ValueError("again")
            return given

        skill(story.of("scribble"), retry=RetryPolicy(attempts=2, first=0.05))(scribble)
        story.skills.append(skill_of(scribble))
        steps = {
            "a": {"skill": story.of("scribble"), "input": "${input}"},
            "b": {"skill": story.skill("look"), "input": "${input}", "needs": ["a"]},
        }
        await story.publish(steps, output="${steps.b.output}")
        await story.start({"list": [1]}, context={"notes": [1]})
        assert (await story.ended()).output.inline == {"list": [1]}
        assert seen == [([1], [1])] * 2


@pytest.mark.parametrize("runs", ["async", "thread"])
async def test_the_last_that_a_skill_tells_of_its_progress_is_on_the_record(log_url, runs):
    async with running(log_url, f"far-{runs}") as story:

        def tell(given: int, context: Context) -> int:
            for step in range(given + 1):
                context.progress(step / given, f"step {step}")
            return given

        async def tell_here(given: int, context: Context) -> int:
            return tell(given, context)

        skill(story.of("tell"))(tell_here if runs == "async" else tell)
        story.skills.append(skill_of(tell_here if runs == "async" else tell))
        await story.run({"s": {"skill": story.of("tell")}}, 1_000)
        told = [(each.fraction, each.note) for each in await story.events(workflow.Progressed)]
        assert told[-1] == (1.0, "step 1000")
        assert len(told) <= 2
