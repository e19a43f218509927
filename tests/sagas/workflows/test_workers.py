"""Skills that others do: calls through their queues, reports that are late, doubled, foreign or wrong, and values that
are too large for an event.
"""

import asyncio
from base64 import b64decode
from contextlib import asynccontextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any

import msgspec
import pytest
import pytest_asyncio

from domain import workflow
from domain.skill import RetryPolicy
from domain.workflow import LARGEST_INLINE, Value
from eventstore.streams import ask
from eventstore.tasks import end_tasks
from skills.protocol import REPORTS, WORK, Failed, Leased, Progressed, Result, Succeeded, Work, report_subject
from skills.skill import Context, skill, skill_of
from skills.streams import consumer_name
from skills.worker import Worker
from tests.sagas.workflows.story import running
from tests.skills.offered import naps_in_pool


@asynccontextmanager
async def worker(story, url, name, function, at_once=10, seconds=0.0, **options):
    """Of one skill, as any process would run it; each call takes so many seconds."""

    async def work(given: Any, context: Context) -> Any:
        await asyncio.sleep(seconds)
        story.done.append((name, context.system.call, context.system.attempt, given))
        return function(given)

    skill(story.of(name), **options)(work)
    async with serving(story, url, skill_of(work), at_once):
        yield story.of(name)


@asynccontextmanager
async def serving(story, url, offered, at_once=10):
    story.others.append(offered)
    working = Worker([offered], url, name=f"worker-{story.name}", concurrency=at_once)
    task = asyncio.create_task(working.run())
    try:
        await asyncio.wait_for(working.ready.wait(), 10)
        yield
    finally:
        await end_tasks(task)


async def test_a_worker_takes_a_call_from_its_queue_and_reports(log_url):
    async with running(log_url, "remote") as story, worker(story, log_url, "double", lambda n: 2 * n) as double:
        ended = await story.run({"s": {"chain": {"links": [{"skill": double}, {"skill": double}]}}}, 3)
        assert ended.output.inline == 12
        succeeded = await story.events(workflow.Succeeded)
        assert {each.worker for each in succeeded} == {"worker-remote"}


async def test_what_goes_in_and_comes_out_may_be_larger_than_an_event(log_url):
    async with running(log_url, "large") as story, worker(story, log_url, "grow", lambda n: "x" * n) as grow:
        size = LARGEST_INLINE + 1_000
        measure = story.skill("measure", lambda text: len(text))
        steps = {
            "a": {"skill": grow},
            "b": {"skill": story.skill("same"), "needs": ["a"]},
            "c": {"skill": measure, "needs": ["b"], "input": "${steps.b.output}"},
            "d": {"skill": measure, "needs": ["b"], "input": "${join('', [steps.a.output, 'y'])}"},
            "e": {"skill": grow, "needs": ["b"], "input": "${length(steps.b.output)}"},
        }
        ended = await story.run(steps, size, output={"c": "${steps.c.output}", "d": "${steps.d.output}"})
        assert ended.output.inline == {"c": size, "d": size + 1}
        outputs = [each.output for each in await story.events(workflow.Succeeded)]
        by_reference = [each for each in outputs if each.hash]
        assert len(by_reference) == 3
        assert {each.hash for each in by_reference} == {by_reference[0].hash}
        assert max(len(each.raw) for each in await story.log()) < 10_000


async def test_what_waits_for_its_turn_loses_nothing_of_its_time(log_url):
    """A worker that does one thing after the other, each within the time that it may take."""
    slow = {"retry": RetryPolicy(attempts=1), "timeout": 1.0}
    async with (
        running(log_url, "in-turn") as story,
        worker(story, log_url, "slow", lambda n: n, at_once=1, seconds=0.4, **slow) as name,
    ):
        ended = await story.run({"s": {"skill": name, "each": "input"}}, [1, 2, 3, 4])
        assert ended.outcome == "completed", ended.reason
        assert [attempt for _, _, attempt, _ in story.done] == [1, 1, 1, 1]


class Queue:
    """What is in the queue of a skill that has no worker, and reports in its place."""

    def __init__(self, story, name):
        self.story, self.name = story, name
        self.consumer = None

    async def call(self):
        if self.consumer is None:
            stream = self.story.core.connection.jetstream()
            self.consumer = await stream.pull_subscribe(f"work.{self.name}.1", stream="WORK")
        (message,) = await self.consumer.fetch(1, timeout=10)
        await message.ack_sync()
        return msgspec.json.decode(message.data, type=Work)

    async def report(self, call, report, what="result", attempt=None):
        subject = report_subject(call.call, attempt or call.attempt, what)
        answer = await self.story.core.connection.request(subject, msgspec.json.encode(report))
        return msgspec.json.decode(answer.data)


@pytest_asyncio.fixture
async def queued(log_url, request):
    """A run of one skill that nobody in this process does."""
    async with running(log_url, request.node.name.removeprefix("test_").replace("_", "-")[:40]) as story:

        async def nobody(given: int, context: Context) -> int:
            raise AssertionError

        retry = RetryPolicy(attempts=2, first=0.05)
        skill(story.of("skill"), timeout=30.0, retry=retry)(nobody)
        story.others.append(skill_of(nobody))
        await story.publish({"s": {"skill": story.of("skill")}})
        await story.start(1)
        yield Queue(story, story.of("skill"))


async def test_a_call_says_for_whom_it_is_made(queued):
    call = await queued.call()
    assert (call.call, call.attempt, call.input.inline) == (f"{queued.story.of('run')}-1", 1, 1)
    assert (call.security.actor, call.system.step) == ("ann", "s")
    await queued.report(call, Succeeded(Value(2)))
    assert (await queued.story.ended()).output.inline == 2


async def test_signs_of_life_and_progress_are_on_the_record(queued):
    call = await queued.call()
    await queued.report(call, Leased("me"), "leased-1")
    await queued.report(call, Progressed(0.5, "half"), "progress-1")
    await queued.story.waits_for(workflow.Progressed)
    state = await queued.story.state()
    assert (state.calls[call.call].status, state.calls[call.call].worker) == ("leased", "me")
    await queued.report(call, Succeeded(Value(2)))
    assert (await queued.story.ended()).outcome == "completed"


async def test_of_signs_of_life_that_come_too_often_the_last_one_counts(queued):
    call, story = await queued.call(), queued.story
    for n in range(1, 41):
        await queued.report(call, Progressed(n / 40), f"progress-{n}")
        await queued.report(call, Leased(f"me-{n}"), f"leased-{n}")
    told = await story.until(
        lambda: story.events(workflow.Progressed), lambda found: bool(found) and found[-1].fraction == 1.0
    )
    assert told[0].fraction == 1 / 40
    leases = await story.until(lambda: story.events(workflow.Leased), lambda found: found[-1].worker == "me-40")
    times = [each.time for each in await story.log() if each.type == "workflow.progressed"]
    assert all((later - earlier).total_seconds() > 0.5 for earlier, later in pairwise(times))
    assert len(told) + len(leases) < 10
    await queued.report(call, Succeeded(Value(2)))
    assert (await story.ended()).outcome == "completed"


async def test_no_worker_is_taken_for_an_engine_whatever_it_calls_itself(queued):
    """What an engine has in hand stands in no queue, and so would not be called off."""
    call, story = await queued.call(), queued.story
    await queued.report(call, Leased("engine-mine"), "leased-1")
    (leased,) = await story.waits_for(workflow.Leased)
    assert leased.worker == "foreign-engine-mine"
    await story.accepted("workflow.cancel", story.of("run"))
    assert (await story.ended()).outcome == "cancelled"
    assert await on_record(story, call.call) == Failed("cancelled", retryable=False)


async def test_neither_is_one_that_has_succeeded_or_failed(queued):
    first = await queued.call()
    await queued.report(first, Failed("no", worker="engine-mine"))
    second = await queued.call()
    await queued.report(second, Succeeded(Value(2), worker="engine-mine"))
    await queued.story.ended()
    for kind in (workflow.Failed, workflow.Succeeded):
        (found,) = await queued.story.events(kind)
        assert found.worker == "foreign-engine-mine"


async def test_a_second_result_is_refused_by_the_server(queued):
    call = await queued.call()
    await queued.report(call, Succeeded(Value(2)))
    refused = await queued.report(call, Succeeded(Value(3)))
    assert refused["error"]["err_code"] == 10077
    assert (await queued.story.ended()).output.inline == 2


async def test_the_late_result_of_an_attempt_before_counts_and_the_other_one_does_not(queued):
    first = await queued.call()
    await queued.report(first, Failed("lost my way"))
    second = await queued.call()
    assert second.attempt == 2
    await queued.report(second, Succeeded(Value(2)))
    await queued.story.ended()
    answer = await queued.report(second, Succeeded(Value(3)), attempt=3)
    assert "error" not in answer
    await queued.report(first, Progressed(0.9), "progress-9")
    assert len(await queued.story.events(workflow.Succeeded)) == 1


async def test_an_output_that_the_skill_does_not_give_is_a_failure(queued):
    call = await queued.call()
    await queued.report(call, Succeeded(Value("text")))
    again = await queued.call()
    (failed,) = await queued.story.events(workflow.Failed)
    assert "'text' is not of type 'integer'" in failed.reason
    await queued.report(again, Succeeded(Value(2)))
    assert (await queued.story.ended()).outcome == "completed"


async def test_a_result_that_cannot_be_read_is_a_failure(queued):
    call = await queued.call()
    await queued.story.core.connection.request(report_subject(call.call, 1), b"hello")
    again = await queued.call()
    (failed,) = await queued.story.events(workflow.Failed)
    assert "cannot be read" in failed.reason
    await queued.report(again, Succeeded(Value(2)))
    assert (await queued.story.ended()).outcome == "completed"


async def test_messages_that_are_no_reports_do_no_harm(queued):
    call = await queued.call()
    for subject in ("report.x", "report.nothing.1.result", f"report.{call.call}.x.result", f"report.{call.call}.1.odd"):
        await queued.story.core.connection.request(subject, b"hello")
    await queued.story.core.connection.request("run_due.x.due", b"hello")
    await queued.report(call, Succeeded(Value(2)))
    assert (await queued.story.ended()).outcome == "completed"


async def test_a_call_that_was_asked_for_is_queued_after_a_crash(queued):
    """Once: the server knows the attempt by its id."""
    call = await queued.call()
    await queued.story.crash()
    engine, _ = queued.story.engine()
    await engine.ready()
    await queued.report(call, Succeeded(Value(2)))
    assert (await queued.story.ended()).output.inline == 2
    assert len(await queued.story.events(workflow.Succeeded)) == 1


async def on_record(story, call, attempt=1):
    """Whatever is there as the result, as soon as there is one."""

    async def look():
        wanted = {"last_by_subj": report_subject(call, attempt)}
        return (await ask(story.core.connection, f"STREAM.MSG.GET.{REPORTS}", wanted)).get("message")

    message = await story.until(look, bool)
    return msgspec.json.decode(b64decode(message["data"]), type=Result)


@asynccontextmanager
async def asked_of_nobody(url, name, **options):
    """A run of one skill that nobody does (yet), with options of its own."""
    async with running(url, name) as story:

        async def nobody(given: int, context: Context) -> int:
            raise AssertionError

        skill(story.of("skill"), **options)(nobody)
        story.others.append(skill_of(nobody))
        await story.publish({"s": {"skill": story.of("skill")}})
        await story.start(1)
        await story.waits_for(workflow.Requested)
        yield story


@pytest.mark.parametrize("why", ["cancelled", "failed"])
async def test_a_call_that_nobody_waits_for_any_more_is_not_begun(log_url, why):
    """It is in the queue still when its run is cancelled, or has been there for too long."""
    options = {"queue_timeout": 0.3 if why == "failed" else 30.0, "retry": RetryPolicy(attempts=1)}
    async with asked_of_nobody(log_url, f"off-{why}", **options) as story:
        if why == "cancelled":
            await story.accepted("workflow.cancel", story.of("run"))
        assert (await story.ended()).outcome == why
        before = len(await story.log())
        assert await on_record(story, f"{story.of('run')}-1") == Failed("cancelled", retryable=False)
        async with worker(story, log_url, "skill", lambda n: n):

            async def consumer():
                return await ask(story.core.connection, f"CONSUMER.INFO.{WORK}.{consumer_name(story.of('skill'), '1')}")

            handled = await story.until(consumer, lambda info: not info["num_pending"] + info["num_ack_pending"])
            assert handled["delivered"]["consumer_seq"] == 1
        assert story.done == []
        assert len(await story.log()) == before


async def test_a_coroutine_in_the_hands_of_a_worker_ends_when_its_run_is_cancelled(log_url):
    async with running(log_url, "stop-async") as story:
        ended = asyncio.Event()

        async def nap(given: int, context: Context) -> int:
            try:
                await asyncio.sleep(25)
            finally:
                ended.set()
            return given

        skill(story.of("nap"))(nap)
        async with serving(story, log_url, skill_of(nap)):
            await story.publish({"s": {"skill": story.of("nap")}})
            await story.start(1)
            await story.waits_for(workflow.Leased)
            await story.accepted("workflow.cancel", story.of("run"))
            await asyncio.wait_for(ended.wait(), 5)
            assert (await story.ended()).outcome == "cancelled"


async def test_a_process_in_the_hands_of_a_worker_ends_when_its_run_is_cancelled(log_url, tmp_path):
    async with running(log_url, "stop-process") as story, serving(story, log_url, skill_of(naps_in_pool)):
        file = tmp_path / "process"
        await story.publish({"s": {"skill": "naps_in_pool"}})
        await story.start(str(file))

        async def began():
            return file.exists()

        await story.until(began, bool)
        process = int(file.read_text())
        await story.accepted("workflow.cancel", story.of("run"))

        async def is_there():
            return Path(f"/proc/{process}").exists()

        await story.until(is_there, lambda there: not there, 5)


async def test_what_is_done_late_counts_and_the_attempt_after_it_is_called_off(log_url):
    """A worker has the first attempt in hand when its time is over."""
    retry = RetryPolicy(attempts=2, first=0.05)
    async with asked_of_nobody(log_url, "done-late", timeout=1.0, retry=retry) as story:
        queue = Queue(story, story.of("skill"))
        first = await queue.call()
        await queue.report(first, Leased("me"), "leased-1")
        await story.waits_for(workflow.Reattempted)
        assert "error" not in await queue.report(first, Succeeded(Value(2)))
        assert (await story.ended()).output.inline == 2
        assert await on_record(story, first.call, 2) == Failed("cancelled", retryable=False)
