"""What is done when a skill fails, is late, or is not to be asked at all."""

import asyncio
from contextlib import asynccontextmanager
from hashlib import sha256

import msgspec

from domain import skill, workflow
from domain.circuit import CircuitPolicy
from domain.skill import RetryPolicy
from eventstore.envelope import StreamId
from handlers.command import CommandRequest
from sagacity.initialising import initialise_server
from sagas.workflows import history
from sagas.workflows.engine import CONSUMER, MOST_DELIVERIES
from skills.skill import SkillFailed
from tests.sagas.workflows.story import ME, failing_first, running

QUICK = RetryPolicy(attempts=3, first=0.05, longest=0.1)
ONCE = RetryPolicy(attempts=1)


def fail(given):
    raise ValueError("broken")


async def test_an_attempt_that_fails_is_made_again_after_a_pause(log_url):
    async with running(log_url, "again") as story:
        ended = await story.run({"s": {"skill": story.skill("stumble", failing_first(2), retry=QUICK)}}, 1)
        assert ended.outcome == "completed"
        assert [attempt for _, _, attempt, _ in story.done] == [1, 2, 3]
        assert len({call for _, call, *_ in story.done}) == 1
        failed = await story.events(workflow.Failed)
        assert [each.reason for each in failed] == ["ValueError: not now"] * 2
        assert all(each.retry_at is not None for each in failed)


async def test_a_pause_longer_than_a_run_is_kept_in_hand_is_waited_for_by_a_timer(log_url):
    async with running(log_url, "long-pause") as story:
        retry = {"attempts": 2, "first": 3_600.0, "longest": 1.5}
        ended = await story.run({"s": {"skill": story.skill("stumble", failing_first()), "retry": retry}}, 1)
        assert ended.outcome == "completed"
        (failed,) = await story.events(workflow.Failed)
        (again,) = [each for each in await story.log() if each.type == "workflow.reattempted"]
        assert again.time >= failed.retry_at


async def test_what_cannot_succeed_is_not_tried_again(log_url):
    async with running(log_url, "lasting") as story:

        def refuse(given):
            raise SkillFailed("never", retryable=False)

        ended = await story.run({"s": {"skill": story.skill("refuse", refuse, retry=QUICK)}})
        assert (ended.outcome, len(story.done)) == ("failed", 1)
        assert "never" in ended.reason


async def test_an_attempt_ends_when_its_time_is_over(log_url):
    async with running(log_url, "late") as story:

        async def hang(given):
            await asyncio.sleep(30)

        hanging = story.skill("hang", hang, timeout=0.3, retry=ONCE)
        ended = await story.run({"s": {"skill": hanging}})
        assert ended.outcome == "failed"
        (failed,) = await story.events(workflow.Failed)
        assert failed.kind == "timeout"


async def test_a_run_ends_when_its_time_is_over(log_url):
    async with running(log_url, "run-late") as story:

        async def hang(given):
            await asyncio.sleep(30)

        ended = await story.run({"s": {"skill": story.skill("hang", hang)}}, timeout=0.5)
        assert ended.outcome == "failed"
        assert "time" in ended.reason


async def test_another_skill_is_asked_when_one_has_failed_for_good(log_url):
    async with running(log_url, "fallback") as story:
        story.skill("other", lambda given: "from the other")
        first = story.skill("first", fail, retry=ONCE, fallback=story.of("other"))
        ended = await story.run({"s": {"skill": first}})
        assert ended.output.inline == "from the other"


async def test_what_is_decided_may_be_written_in_any_number_of_parts(log_url, monkeypatch):
    monkeypatch.setattr(history, "MOST_EVENTS", 1)
    async with running(log_url, "parts") as story:
        story.skill("other", lambda given: -given)
        first = story.skill("first", fail, retry=ONCE, fallback=story.of("other"))
        ended = await story.run({"s": {"skill": first, "each": "input"}}, [1, 2, 3])
        assert ended.output.inline == [-1, -2, -3]


async def test_an_input_that_the_skill_does_not_take_is_not_tried_twice(log_url):
    async with running(log_url, "invalid") as story:
        work = story.typed("work")
        ended = await story.run({"s": {"skill": work, "input": {"n": "text"}}})
        assert ended.outcome == "failed"
        (failed,) = await story.events(workflow.Failed)
        assert (failed.kind, failed.retry_at) == ("invalid", None)
        assert story.done == []


async def test_a_circuit_opens_after_failures_in_a_row_and_closes_when_it_works_again(log_url):
    async with running(log_url, "circuit") as story:
        broken = True

        def sometimes(given):
            if broken:
                raise ValueError("down")
            return "well"

        story.skill("spare", lambda given: "spare")
        first = story.skill(
            "first",
            sometimes,
            retry=RetryPolicy(attempts=2, first=0.0),
            circuit=CircuitPolicy(failures=2, recovery=1.0),
            fallback=story.of("spare"),
        )
        await story.publish({"s": {"skill": first}})
        await story.start(run="one")
        assert (await story.ended("one")).output.inline == "spare"
        opened = await circuit(story, lambda offered: offered.open_until is not None)
        await story.start(run="two")
        assert (await story.ended("two")).output.inline == "spare"
        assert story.names_done().count("first") == 2, "nobody asks a skill whose circuit is open"
        broken = False
        await asyncio.sleep(1.0)  # the recovery of its circuit
        await story.start(run="three")
        assert (await story.ended("three")).output.inline == "well"
        closed = await circuit(story, lambda offered: offered.open_until is None)
        assert opened.open_until is not None
        assert closed.open_until is None


async def circuit(story, right):
    async def look():
        events = await story.core.store.load(StreamId("skill", story.of("first")), latest=True)
        return skill.skill.fold([story.core.store.decode(each) for each in events]).versions["1"]

    return await story.until(look, right)


async def test_what_was_done_is_undone_the_last_first_when_a_later_step_fails(log_url):
    async with running(log_url, "undo") as story:
        undo = story.skill("undo")
        steps = {
            "a": {"skill": story.skill("book"), "input": "A", "compensate": {"skill": undo}},
            "b": {"skill": story.of("book"), "input": "B", "needs": ["a"], "compensate": {"skill": undo}},
            "c": {"skill": story.skill("fail", fail, retry=ONCE), "needs": ["b"]},
        }
        ended = await story.run(steps)
        assert ended.outcome == "failed"
        assert [(name, given) for name, _, _, given in story.done][3:] == [("undo", "B"), ("undo", "A")]


async def test_a_run_that_stumbles_over_the_engine_itself_ends_and_says_why(log_url, monkeypatch, caplog):
    async with running(log_url, "stumbles") as story:
        work = story.skill("work")
        await story.publish({"s": {"skill": work}})
        from sagas.workflows import deciding

        right = deciding.advance

        def advance(run, *arguments):
            if run.startswith("stumbles"):
                raise ZeroDivisionError("a fault of ours")
            return right(run, *arguments)

        monkeypatch.setattr(deciding, "advance", advance)
        await story.start(1)
        ended = await story.ended()
        assert (ended.outcome, story.done) == ("failed", [])
        assert "ZeroDivisionError: a fault of ours" in ended.reason
        assert caplog.text.count("cannot go on") == 1


def stumbling(monkeypatch, run, when):
    """The engine cannot go on with `run` where the state is so."""
    from sagas.workflows import deciding

    right = deciding.advance

    def advance(id, state, *arguments):
        if id == run and when(state):
            raise ZeroDivisionError("a fault of ours")
        return right(id, state, *arguments)

    monkeypatch.setattr(deciding, "advance", advance)


async def two_that_can_be_undone(story):
    book, undo = story.skill("book"), story.skill("undo")
    steps = {
        "a": {"skill": book, "input": "A", "compensate": {"skill": undo}},
        "b": {"skill": book, "input": "B", "needs": ["a"], "compensate": {"skill": undo}},
        "c": {"skill": book, "input": "C", "needs": ["b"]},
    }
    return await story.run(steps)


async def test_what_was_done_is_undone_when_the_engine_itself_cannot_go_on(log_url, monkeypatch):
    async with running(log_url, "stumbles-late") as story:
        stumbling(monkeypatch, story.of("run"), lambda state: state.successes == 2 and state.compensating is None)
        ended = await two_that_can_be_undone(story)
        assert ended.outcome == "failed"
        assert "ZeroDivisionError: a fault of ours" in ended.reason
        assert [given for name, _, _, given in story.done if name == "undo"] == ["B", "A"]
        (failed,) = await story.events(workflow.RunFailed)
        assert failed.undone == 2


async def test_a_run_that_can_neither_go_on_nor_be_undone_says_what_was_not_undone(log_url, monkeypatch):
    async with running(log_url, "stumbles-on") as story:
        stumbling(monkeypatch, story.of("run"), lambda state: state.successes >= 2)
        ended = await two_that_can_be_undone(story)
        assert ended.outcome == "failed"
        assert ended.reason.endswith("; 2 calls were not undone")
        assert story.names_done() == ["book", "book"]


async def test_a_sub_workflow_whose_id_another_command_has_taken_is_not_waited_for(log_url):
    """A person has given a command under the very id."""
    async with running(log_url, "taken") as story:
        await story.publish({"s": {"skill": story.skill("work")}}, name="inner")
        await story.publish({"a": {"workflow": story.of("inner")}})
        id = f"workflow-{sha256(b'begin taken-run-1').hexdigest()[:32]}"
        register = msgspec.json.encode({"name": "Acme"})
        await story.core.handler.handle(
            CommandRequest(type="organization.register", stream_id=story.of("acme"), data=register, id=id), ME
        )
        await story.start(1)
        ended = await story.ended()
        assert ended.outcome == "failed"
        assert "was organization.register to organization/taken-acme" in ended.reason


async def test_a_run_that_cannot_be_read_is_left_alone_and_stops_nobody_else(own_nats, caplog):
    await initialise_server(own_nats.url)
    async with running(own_nats.url, "poison") as story:
        await story.publish({"s": {"skill": story.skill("work")}})
        await story.core.connection.request("evt.workflow.poisoned.1", b"hello")
        await story.start(1)
        assert (await story.ended()).outcome == "completed"
        assert caplog.text.count("run poisoned is left as it is for now") == 1


@asynccontextmanager
async def delivered_in_vain(own_nats, name):
    """A run that was begun with as often as may be, and a call that says that it was in vain."""
    await initialise_server(own_nats.url)
    async with running(own_nats.url, name, ack_wait=0.1) as story:
        await story.publish({"s": {"skill": story.skill("work")}})
        await story.crash()
        await story.start(1)
        stream = story.core.store.location.stream
        wakeups = await story.core.connection.jetstream().pull_subscribe_bind(CONSUMER, stream)

        async def fetch():
            (wakeup,) = await wakeups.fetch(1, timeout=10)
            return wakeup

        yield story, fetch


async def test_a_run_that_is_begun_with_again_and_again_is_ended_before_it_does_any_more(own_nats):
    """What a process leaves behind that ends with the run in hand is a wake-up that nobody answers."""
    async with delivered_in_vain(own_nats, "killer") as (story, fetch):
        for _ in range(MOST_DELIVERIES):
            await fetch()
        story.engine(ack_wait=0.1)
        ended = await story.ended()
        assert (ended.outcome, story.done) == ("failed", [])
        assert ended.reason == "the engine has begun with it 10 times and never came to an end"


async def test_a_run_of_which_something_has_come_meanwhile_is_not_ended(own_nats):
    """However often it was delivered: so many crashes would have taken longer."""
    async with delivered_in_vain(own_nats, "outages") as (story, fetch):
        for _ in range(MOST_DELIVERIES + 2):
            await (await fetch()).nak()
        story.engine()
        assert (await story.ended()).outcome == "completed"


async def test_a_run_that_engines_which_end_hand_over_is_not_ended_however_often(log_url):
    async with running(log_url, "restarts", ack_wait=0.2) as story:
        begun = asyncio.Semaphore(0)

        async def work(given):
            begun.release()
            if len(story.done) <= MOST_DELIVERIES + 2:
                await asyncio.Event().wait()
            return given

        await story.publish({"s": {"skill": story.skill("work", work)}})
        await story.start(1)
        for _ in range(MOST_DELIVERIES + 2):
            await asyncio.wait_for(begun.acquire(), 10)
            await story.crash()
            story.engine(ack_wait=0.2)
        assert (await story.ended()).outcome == "completed"
        assert {(call, attempt) for _, call, attempt, _ in story.done} == {(f"{story.of('run')}-1", 1)}


async def test_a_sub_workflow_that_has_failed_is_begun_anew_when_a_person_retries_it(log_url):
    async with running(log_url, "child-again") as story:
        await story.publish({"s": {"skill": story.skill("stumble", failing_first(), retry=ONCE)}}, name="inner")
        await story.publish({"a": {"workflow": story.of("inner"), "on_failure": "park"}})
        await story.start("given")
        await story.waits_for(workflow.Parked)
        await story.accepted("workflow.retry", story.of("run"), {"call": f"{story.of('run')}-1"})
        assert (await story.ended()).output.inline == "given"
        assert [(await story.state(f"{story.of('run')}-{n}")).outcome for n in (1, 2)] == ["failed", "completed"]


async def test_what_an_expression_makes_without_end_fails_its_step_and_stops_nobody_else(log_url):
    async with running(log_url, "doubled") as story:
        work = story.skill("work")
        ended = await story.run({"s": {"skill": work, "input": f"${{input{'|[@,@]' * 40}}}"}}, 1)
        assert (ended.outcome, story.done) == ("failed", [])
        assert "larger than 1000000 values" in ended.reason
        await story.publish({"s": {"skill": work}}, name="other")
        await story.start(1, name="other", run="next")
        assert (await story.ended("next")).outcome == "completed"
