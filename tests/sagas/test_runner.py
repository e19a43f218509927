"""The deployment saga on the real runner and the real log: cancelled at every moment, late, stumbling, stuck, poisoned.

The target is the one in memory, which keeps the rules of the real one; `tests/crash/` does the same with processes.
"""

import asyncio
import time
from contextlib import asynccontextmanager

import msgspec
import pytest

from domain import deployment, saga
from domain.contexts import DECIDERS
from domain.deployment import STEPS
from eventstore.envelope import StreamId
from eventstore.tasks import end_tasks
from handlers.command import Caller, CommandRequest
from sagacity.wiring import initialise_server, open_core, teller
from sagas.rollout import RetryPolicy, deployment_saga
from sagas.runner import SagaRunner
from sagas.targets.port import TargetRefused, TargetUnavailable
from tests.eventstore.servers import Servers
from tests.targets.memory_target import MemoryTarget

ME = Caller(actor="ann")
FAST = {"healthy_checks": 1, "unhealthy_checks": 1, "health_interval": 0.01}
DECIDER = {decider.category: decider for decider in DECIDERS}
RETRIES = RetryPolicy(attempts=3, first=0.02, longest=0.05)


@pytest.fixture(scope="module")
def log_url():

    servers = Servers(1)
    try:
        servers.start()
        asyncio.run(initialise_server(servers.url))
        yield servers.url
    finally:
        servers.stop()


def obey(what, key):
    pass


def refuse_to_stop(what, key):
    if what == "stop":
        raise TargetRefused(["it cannot be stopped"])


class Story:
    """An environment in which version 1 of a stack is live; the next rollout is `new`."""

    def __init__(self, core, name):
        self.core, self.name = core, name
        self.old, self.new = f"{name}-old", f"{name}-new"
        self.before = obey
        self.tell_before = None
        self.target = MemoryTarget(before=lambda what, key: self.before(what, key))

    async def command(self, type, stream, data=None):
        request = CommandRequest(type=type, stream_id=stream, data=msgspec.json.encode(data or {}))
        return await self.core.handler.handle(request, ME)

    async def initialise_server(self):
        env, stack, owner = f"{self.name}-env", f"{self.name}-stack", f"{self.name}-owner"
        about = {"name": self.name, "organization_id": owner}
        await self.command("organization.register", owner, {"name": self.name})
        await self.command("environment.register", env, {**about, "targets": [{"name": "local"}]})
        await self.command("stack.register", stack, about)
        for version, program in (("1", "good"), ("2", "good"), ("3", "sick")):
            release = {"version": version, "release": {"program": program}}
            await self.command("stack.publish_version", stack, release)
        await self.request(self.old, "1")
        assert await self.outcome(self.old) == "deployment.completed"
        self.target.acts.clear()

    async def request(self, id, version, **policy):
        data = {"stack_id": f"{self.name}-stack", "environment_id": f"{self.name}-env", "version": version}
        asked = await self.command("deployment.request", id, {**data, "policy": {**FAST, **policy}})
        assert asked.outcome == "accepted", asked

    async def outcome(self, id):
        ends = ("deployment.completed", "deployment.rolled_back", "deployment.failed")
        return await self.until(lambda: self._last(id), lambda type: type in ends)

    async def _last(self, id):
        return (await self.core.store.load(StreamId("deployment", id), latest=True))[-1].type

    async def saga(self, id):
        events = await self.core.store.load(StreamId("saga", f"deployment-{id}"), latest=True)
        return DECIDER["saga"].fold([self.core.store.decode(event) for event in events])

    async def paused(self, id):
        return await self.until(lambda: self.saga(id), lambda state: getattr(state, "paused", None))

    async def until(self, look, right, timeout=20.0):
        deadline = time.monotonic() + timeout
        while not right(seen := await look()):
            assert time.monotonic() < deadline, seen
            await asyncio.sleep(0.02)
        return seen

    async def nothing_has_changed(self):
        """Exactly the previous state: the old release alone runs and has the traffic, and nothing is reserved."""
        assert [running.start_key for running in await self.target.inventory()] == [f"{self.old}-start"]
        front = await self.target.front(f"{self.name}-env--{self.name}-stack")
        assert front is not None
        assert front.to == f"{self.old}-start"
        ended = await self.saga(self.new)
        assert isinstance(ended, saga.Ended)
        assert {effect.status for effect in ended.effects} <= {"undone"}
        env = await self.core.store.load(StreamId("environment", f"{self.name}-env"), latest=True)
        placement = DECIDER["environment"].fold([self.core.store.decode(e) for e in env])
        assert placement.placement(f"{self.name}-stack").live.deployment_id == self.old
        assert placement.placement(f"{self.name}-stack").rollout is None


@asynccontextmanager
async def told(url, name, retries=RETRIES):
    async with open_core(url) as core:
        story = Story(core, name)
        tell = teller(core.handler, core.store)

        async def tell_after_news(commands, ids, also, context):
            if story.tell_before is not None:
                await story.tell_before([each.command for each in commands])
            await tell(commands, ids, also, context)

        definition = deployment_saga(lambda _: story.target, retries)
        runner = SagaRunner(core.store, tell_after_news, [definition], ack_wait=1.0)
        running = asyncio.create_task(runner.run())
        try:
            await story.initialise_server()
            yield story
            assert not running.done(), "the runner has ended"
        finally:
            await end_tasks(running)


MOMENTS = [
    *((deployment.StartStep, step) for step in STEPS),
    *((deployment.CompleteStep, step) for step in STEPS),
    (deployment.Complete, None),
]


@pytest.mark.parametrize("moment", MOMENTS, ids=lambda moment: f"{moment[0].__name__}-{moment[1]}")
async def test_cancelled_right_before_a_report_it_leaves_exactly_the_previous_state(log_url, moment):
    """The cancellation is on the record before the saga has heard of it: also at the very last moment it wins."""
    report, step = moment
    async with told(log_url, f"cancel-{report.__name__}-{step}") as story:

        async def cancel(commands):
            if any(isinstance(each, report) and getattr(each, "step", None) == step for each in commands):
                story.tell_before = None
                cancelled = await story.command("deployment.cancel", story.new, {"reason": "changed my mind"})
                assert cancelled.outcome == "accepted"

        story.tell_before = cancel
        await story.request(story.new, "2")
        assert await story.outcome(story.new) == "deployment.rolled_back"
        await story.nothing_has_changed()


async def test_a_sick_version_is_rolled_back(log_url):
    async with told(log_url, "sick") as story:
        await story.request(story.new, "3")
        assert await story.outcome(story.new) == "deployment.rolled_back"
        await story.nothing_has_changed()


async def test_a_step_that_takes_too_long_is_ended_by_its_timer(log_url):
    """Attempts go on within the step's time; the timer is the log's own and needs nobody to be awake."""
    async with told(log_url, "late", RetryPolicy(attempts=1000, first=0.02, longest=0.05)) as story:

        def hang(what, key):
            if what == "start" and key.startswith(story.new):
                raise TargetUnavailable("no answer")

        story.before = hang
        await story.request(story.new, "2", step_timeouts={"start": 0.5})
        assert await story.outcome(story.new) == "deployment.rolled_back"
        await story.nothing_has_changed()


async def test_a_target_that_stumbles_is_asked_again_and_acts_once(log_url):
    async with told(log_url, "stumble") as story:
        failures = iter((True, True))

        def stumble(what, key):
            if what == "switch" and next(failures, False):
                raise TargetUnavailable("no answer")

        story.before = stumble
        await story.request(story.new, "2")
        assert await story.outcome(story.new) == "deployment.completed"
        assert story.target.acts.count(("switch", f"{story.new}-switch")) == 1


async def test_a_paused_saga_waits_for_a_person_beyond_the_time_of_its_step(log_url):
    async with told(log_url, "pause") as story:
        away = True

        def be_away(what, key):
            if away and what == "start":
                raise TargetUnavailable("no answer")

        story.before = be_away
        await story.request(story.new, "2", step_timeouts={"start": 1.0})
        await story.paused(story.new)
        await asyncio.sleep(1.5)
        assert (await story.paused(story.new)).compensating is None
        away = False
        assert (await story.command("saga.resume", f"deployment-{story.new}")).outcome == "accepted"
        assert await story.outcome(story.new) == "deployment.completed"


async def test_an_undo_that_fails_waits_for_a_person_who_gives_up_on_this_effect_alone(log_url):
    async with told(log_url, "stuck") as story:
        story.before = refuse_to_stop
        await story.request(story.new, "3")
        assert (await story.paused(story.new)).stuck == f"{story.new}-start"
        id = f"deployment-{story.new}"
        other = await story.command("saga.waive_effect", id, {"key": f"{story.new}-allocate", "reason": "why not"})
        assert (other.outcome, other.refusal) == ("refused", "effect_not_stuck")
        waived = await story.command("saga.waive_effect", id, {"key": f"{story.new}-start", "reason": "by hand"})
        assert waived.outcome == "accepted"
        # A place where something still runs cannot be given back either.
        await story.until(lambda: story.saga(story.new), lambda state: state.stuck == f"{story.new}-allocate")
        await story.command("saga.waive_effect", id, {"key": f"{story.new}-allocate", "reason": "by hand"})
        assert await story.outcome(story.new) == "deployment.failed"
        statuses = {effect.step: effect.status for effect in (await story.saga(story.new)).effects}
        assert statuses == {"start": "waived", "allocate": "waived"}


async def test_an_undo_that_works_again_is_resumed(log_url):
    async with told(log_url, "resumed") as story:
        story.before = refuse_to_stop
        await story.request(story.new, "3")
        await story.paused(story.new)
        story.before = obey
        await story.command("saga.resume", f"deployment-{story.new}")
        assert await story.outcome(story.new) == "deployment.rolled_back"
        await story.nothing_has_changed()


async def test_a_foreign_message_among_the_timers_does_no_harm(log_url):
    async with told(log_url, "poison") as story:
        await story.core.connection.publish("due.x.y", b"hello")
        await story.request(story.new, "2")
        assert await story.outcome(story.new) == "deployment.completed"


async def test_an_id_from_which_no_saga_could_grow_is_refused(log_url):
    async with told(log_url, "long") as story:
        data = {"stack_id": "long-stack", "environment_id": "long-env", "version": "2"}
        refused = await story.command("deployment.request", "d" * 81, data)
        assert (refused.outcome, refused.refusal) == ("refused", "id_too_long")
        await story.request("d" * 80, "2")
        assert await story.outcome("d" * 80) == "deployment.completed"


async def test_after_a_restore_on_a_machine_where_nothing_runs_one_deploys_again(log_url):
    async with told(log_url, "restored") as story:
        story.target = MemoryTarget()
        await story.request(story.new, "2")
        assert await story.outcome(story.new) == "deployment.completed"
        assert [running.start_key for running in await story.target.inventory()] == [f"{story.new}-start"]
