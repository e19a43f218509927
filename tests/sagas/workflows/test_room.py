"""One engine has so many runs in hand and no more; nothing waits for ever because of that."""

import asyncio

from domain import workflow
from eventstore.streams import ask
from sagas.workflows.engine import CONSUMER
from sagas.workflows.room import Room
from tests.sagas.workflows.story import running


async def test_what_is_free_is_said_once_an_eighth_of_it_is():
    room = Room(16)
    assert await room.free() == 16
    for _ in range(15):
        room.enter()
    waiting = asyncio.create_task(room.free())
    await asyncio.sleep(0)
    assert not waiting.done()
    assert await room.free(2) == 17
    room.leave()
    assert await waiting == 2


def test_it_may_be_overfull():
    room = Room(1)
    room.enter()
    assert room.is_full
    room.enter()
    room.leave()
    assert room.is_full


async def waiting_to_begin(story):
    stream = story.core.store.location.stream
    return (await ask(story.core.connection, f"CONSUMER.INFO.{stream}.{CONSUMER}"))["num_pending"]


async def test_what_is_too_much_stays_in_the_log(log_url):
    async with running(log_url, "much") as story:
        opened, inside, most = asyncio.Event(), 0, 0

        async def work(given):
            nonlocal inside, most
            inside, most = inside + 1, max(most, inside + 1)
            await opened.wait()
            inside -= 1
            return given

        await story.publish({"s": {"skill": story.skill("work", work)}})
        await story.crash()
        runs = [f"run{n}" for n in range(40)]
        for n, run in enumerate(runs):
            await story.start(n, run=run)
        engine, _ = story.engine(most_in_hand=8)

        async def inside_now():
            return inside

        await story.until(inside_now, lambda found: found == 8)
        assert (engine.in_hand, await waiting_to_begin(story)) == (8, 32)
        opened.set()
        for n, run in enumerate(runs):
            assert (await story.ended(run)).output.inline == n
        assert most <= 8


async def test_whoever_waits_for_others_makes_room_for_them(log_url):
    """Of workflows within workflows, asked for all at once, where one alone may be in hand."""
    async with running(log_url, "nested", most_in_hand=1) as story:
        await story.publish({"s": {"skill": story.skill("work")}}, name="innermost")
        await story.publish({"s": {"workflow": story.of("innermost"), "each": "input"}}, name="inner")
        await story.publish({"s": {"workflow": story.of("inner"), "each": "input"}})
        runs = [f"run{n}" for n in range(4)]
        for run in runs:
            await story.start([[1, 2], [3, 4]], run=run)
        for run in runs:
            assert (await story.ended(run, timeout=40)).output.inline == [[1, 2], [3, 4]]


async def test_what_has_begun_goes_on_though_nothing_new_begins(log_url):
    async with running(log_url, "full", most_in_hand=1) as story:
        opened, reached = asyncio.Event(), asyncio.Event()

        async def work(given):
            reached.set()
            await opened.wait()

        steps = {"a": {"approval": {"question": "Well?"}}, "b": {"skill": story.skill("same"), "needs": ["a"]}}
        await story.publish(steps, name="asking")
        story.skill("work", work)
        await story.crash()
        await story.publish({"s": {"skill": story.of("work")}})
        await story.start(run="asks", name="asking")
        await story.waits_for(workflow.StepStarted, "asks")
        await story.start(run="fills")
        await asyncio.wait_for(reached.wait(), 10)
        await story.start(run="third", name="asking")
        await story.accepted("workflow.approve", story.of("asks"), {"step": "a"})
        assert (await story.ended("asks")).outcome == "completed"
        assert await story.events(workflow.StepStarted, "third") == []
        opened.set()
        await story.waits_for(workflow.StepStarted, "third")
