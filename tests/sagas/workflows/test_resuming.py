"""An engine that ends in the midst of a run, whatever the run waits for, and another one that goes on: what is on the
record is never done again. (tests/crash/test_workflow_crashes.py does it with processes and kill -9.)
"""

import asyncio
from collections import Counter
from typing import Any

import pytest

from domain import workflow
from domain.skill import RetryPolicy
from eventstore.streams import ask
from sagacity.initialising import initialise_server
from sagas.timers import RUNS
from sagas.workflows.engine import CONSUMER, WOKEN
from sagas.workflows.outside import Outside
from sagas.workflows.queue import Queue
from skills.protocol import REPORTS, report_subject
from skills.skill import Context, skill, skill_of
from tests.sagas.workflows.story import failing_first, running

ONCE = RetryPolicy(attempts=1)


class Gate:
    """Holds back whoever comes, and says that somebody has come."""

    def __init__(self):
        self.reached, self.opened = asyncio.Event(), asyncio.Event()

    async def pass_through(self, given):
        self.reached.set()
        await self.opened.wait()
        return given


async def after_a_crash(story):
    await story.crash()
    engine, _ = story.engine()
    await engine.ready()


def assert_no_finished_call_was_made_again(story, unfinished=()):
    calls = Counter((call, attempt) for _, call, attempt, _ in story.done)
    again = {call for (call, _), times in calls.items() if times > 1}
    assert again <= set(unfinished), again


async def test_in_the_midst_of_a_step(log_url):
    async with running(log_url, "mid-step") as story:
        gate = Gate()
        steps = {
            "a": {"skill": story.skill("first")},
            "b": {"skill": story.skill("second", gate.pass_through), "needs": ["a"]},
            "c": {"skill": story.skill("third"), "needs": ["b"]},
        }
        await story.publish(steps)
        await story.start(1)
        await asyncio.wait_for(gate.reached.wait(), 10)
        await after_a_crash(story)
        gate.opened.set()
        assert (await story.ended()).outcome == "completed"
        assert story.names_done() == ["first", "second", "second", "third"]
        assert len({call for name, call, *_ in story.done if name == "second"}) == 1
        assert_no_finished_call_was_made_again(story, unfinished=[story.done[1][1]])


async def test_between_the_items_of_a_list(log_url):
    async with running(log_url, "mid-list") as story:
        gate = Gate()

        async def work(n):
            return n if n < 10 else await gate.pass_through(n)

        await story.publish({"s": {"skill": story.skill("work", work), "each": "input", "parallel": 20}})
        await story.start(list(range(20)))
        await story.waits_for(workflow.Succeeded, count=10)
        await after_a_crash(story)
        gate.opened.set()
        assert (await story.ended()).output.inline == list(range(20))
        finished = [given for *_, given in story.done if given < 10]
        assert sorted(finished) == list(range(10))


async def test_while_a_person_is_asked(log_url):
    async with running(log_url, "mid-approval") as story:
        steps = {
            "a": {"skill": story.skill("first")},
            "b": {"approval": {"question": "Well?"}, "needs": ["a"]},
            "c": {"skill": story.skill("third"), "needs": ["b"]},
        }
        await story.publish(steps)
        await story.start()
        await story.waits_for(workflow.StepStarted)
        await story.crash()
        await story.accepted("workflow.approve", story.of("run"), {"step": "b"})
        story.engine()
        assert (await story.ended()).outcome == "completed"
        assert story.names_done() == ["first", "third"]


async def test_while_time_passes(log_url):
    async with running(log_url, "mid-wait") as story:
        steps = {"a": {"skill": story.skill("first")}, "b": {"wait": 1.5, "needs": ["a"]}}
        await story.publish(steps)
        await story.start()
        await story.waits_for(workflow.StepStarted)
        await after_a_crash(story)
        assert (await story.ended()).outcome == "completed"
        assert story.names_done() == ["first"]


async def test_before_an_attempt_is_made_again(log_url):
    async with running(log_url, "mid-pause") as story:
        retry = {"attempts": 2, "first": 3_600.0, "longest": 1.0}
        await story.publish({"s": {"skill": story.skill("stumble", failing_first()), "retry": retry}})
        await story.start()
        await story.waits_for(workflow.Failed)
        await after_a_crash(story)
        assert (await story.ended()).outcome == "completed"
        assert [attempt for _, _, attempt, _ in story.done] == [1, 2]


async def test_while_a_sub_workflow_runs(log_url):
    async with running(log_url, "mid-child") as story:
        gate = Gate()
        steps = {
            "s": {"skill": story.skill("first")},
            "t": {"skill": story.skill("inner", gate.pass_through), "needs": ["s"]},
        }
        await story.publish(steps, name="inside")
        await story.publish({"a": {"workflow": story.of("inside")}, "b": {"skill": story.of("first"), "needs": ["a"]}})
        await story.start(1)
        await asyncio.wait_for(gate.reached.wait(), 10)
        await after_a_crash(story)
        gate.opened.set()
        assert (await story.ended()).outcome == "completed"
        assert story.names_done() == ["first", "inner", "inner", "first"]


async def test_while_it_takes_back_what_was_done(log_url):
    async with running(log_url, "mid-undo") as story:
        gate = Gate()

        async def undo(given):
            return given if given == "B" else await gate.pass_through(given)

        def fail(given):
            raise ValueError("broken")

        book, taken_back = story.skill("book"), story.skill("undo", undo)
        steps = {
            "a": {"skill": book, "input": "A", "compensate": {"skill": taken_back}},
            "b": {"skill": book, "input": "B", "needs": ["a"], "compensate": {"skill": taken_back}},
            "c": {"skill": story.skill("fail", fail, retry=ONCE), "needs": ["b"]},
        }
        await story.publish(steps)
        await story.start()
        await asyncio.wait_for(gate.reached.wait(), 10)
        await after_a_crash(story)
        gate.opened.set()
        assert (await story.ended()).outcome == "failed"
        assert [given for name, _, _, given in story.done if name == "undo"] == ["B", "A", "A"]


async def test_a_cancellation_of_a_sub_workflow_that_a_crash_has_prevented_is_made_up_for(log_url, monkeypatch):
    """The parent has said that it waits no more; that the child was told, nobody has seen."""
    async with running(log_url, "untold") as story:
        await story.publish({"s": {"approval": {"question": "Well?"}}}, name="inner")
        await story.publish({"a": {"workflow": story.of("inner")}})
        await story.start()
        child = f"{story.of('run')}-1"
        await story.waits_for(workflow.StepStarted, child)
        await story.crash()
        await story.accepted("workflow.cancel", story.of("run"), {"reason": "enough"})
        with monkeypatch.context() as gone:
            await end_without_a_word(story, gone)
        story.engine()
        assert (await story.ended(child)).outcome == "cancelled"


async def end_without_a_word(story, gone):
    """An engine that hears of the cancellation, writes what follows, and is gone before it does anything about it."""

    async def never(*_):
        await asyncio.Event().wait()

    gone.setattr(Outside, "call_off", never)
    gone.setattr(Queue, "call_off", never)
    story.engine()
    await story.until(story.log, lambda log: "workflow.call_cancelled" in [each.type for each in log])
    await story.crash()


async def test_an_attempt_that_a_crash_has_prevented_from_being_called_off_is_called_off(log_url, monkeypatch):
    """The run has said that it waits no more; the attempt is in the queue of its skill still."""
    async with running(log_url, "unqueued") as story:

        async def nobody(given: Any, context: Context) -> None:
            raise AssertionError

        skill(story.of("nobody"))(nobody)
        story.others.append(skill_of(nobody))
        await story.publish({"s": {"skill": story.of("nobody")}})
        await story.start()
        await story.waits_for(workflow.Requested)
        await story.crash()
        await story.accepted("workflow.cancel", story.of("run"))
        with monkeypatch.context() as gone:
            await end_without_a_word(story, gone)
        wanted = {"last_by_subj": report_subject(f"{story.of('run')}-1", 1)}

        async def result():
            return (await ask(story.core.connection, f"STREAM.MSG.GET.{REPORTS}", wanted)).get("message")

        assert await result() is None
        story.engine()
        assert await story.until(result, bool)


async def test_a_log_that_has_forgotten_to_whom_it_gave_a_run(own_nats):
    """Its server has died, or a backup was restored: the run is delivered as if for the first time."""
    await initialise_server(own_nats.url)
    async with running(own_nats.url, "forgotten") as story:
        gate = Gate()
        work = story.skill("work", gate.pass_through)
        await story.publish({"a": {"skill": story.skill("first")}, "b": {"skill": work, "needs": ["a"]}})
        await story.start(1)
        await asyncio.wait_for(gate.reached.wait(), 10)
        await story.crash()
        log = story.core.store.location.stream
        for stream, consumer in ((log, CONSUMER), (log, WOKEN), (RUNS.stream, CONSUMER)):
            await ask(story.core.connection, f"CONSUMER.DELETE.{stream}.{consumer}")
        await ask(story.core.connection, f"STREAM.PURGE.{RUNS.stream}")
        gate.opened.set()
        story.engine()
        assert (await story.ended(timeout=10)).outcome == "completed"
        assert story.names_done() == ["first", "work", "work"]


async def test_two_engines_share_the_work_and_do_nothing_twice(log_url):
    async with running(log_url, "two") as story:

        async def work(n):
            await asyncio.sleep(0.005)
            return n + 1

        steps = {
            "a": {"skill": story.skill("work", work)},
            "b": {"approval": {"question": "Go on?"}, "needs": ["a"]},
            "c": {"skill": story.of("work"), "input": "${steps.a.output}", "needs": ["b"]},
        }
        await story.publish(steps)
        other, _ = story.engine()
        await other.ready()
        runs = [f"run{n}" for n in range(30)]
        for n, run in enumerate(runs):
            await story.start(n, run=run)
        for run in runs:
            await story.waits_for(workflow.StepStarted, run)
        for run in runs:
            await story.accepted("workflow.approve", story.of(run), {"step": "b"})
        for n, run in enumerate(runs):
            assert (await story.ended(run)).output.inline == n + 2
        assert_no_finished_call_was_made_again(story)
        workers = {each.worker for run in runs for each in await story.events(workflow.Succeeded, run)}
        assert len(workers) == 2


@pytest.mark.parametrize("again", [1, 2, 3])
async def test_two_engines_of_which_one_ends_in_the_midst(log_url, again):
    async with running(log_url, f"two-one{again}") as story:

        async def work(n):
            await asyncio.sleep(0.02)
            return n + 1

        name = story.skill("work", work)
        await story.publish({"s": {"chain": {"links": [{"skill": name}] * 4}}})
        story.engine()
        runs = [f"run{n}" for n in range(20)]
        for n, run in enumerate(runs):
            await story.start(n, run=run)
        await asyncio.sleep(0.02 * again)
        dying = story.engines.pop(0)
        dying.cancel()
        for n, run in enumerate(runs):
            assert (await story.ended(run)).output.inline == n + 4
        for run in runs:
            recorded = [each.call for each in await story.events(workflow.Succeeded, run)]
            assert len(recorded) == len(set(recorded)) == 4
