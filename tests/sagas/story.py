"""A stack with a live version: the real runner and log, a target in memory that keeps the rules of the real one."""

import asyncio
import time
from contextlib import asynccontextmanager

import msgspec

from domain import saga
from domain.contexts import DECIDERS
from eventstore.envelope import StreamId
from eventstore.tasks import end_tasks
from handlers.command import Caller, CommandRequest
from sagacity.wiring import open_core, saga_definitions, teller
from sagas.rollout import RetryPolicy
from sagas.runner import SagaRunner
from tests.targets.memory_target import MemoryTarget

ME = Caller(actor="ann")
CIRCUIT = {"failures": 2, "recovery": 0.3}
FAST = {"healthy_checks": 1, "unhealthy_checks": 1, "health_interval": 0.01}
DECIDER = {decider.category: decider for decider in DECIDERS}
RETRIES = RetryPolicy(attempts=3, first=0.02, longest=0.05)


def obey(what, key):
    pass


class Story:
    """An environment in which version 1 of a stack is live; the next rollout is `new`."""

    def __init__(self, core, name):
        self.core, self.name = core, name
        self.old, self.new = f"{name}-old", f"{name}-new"
        self.before = obey
        self.tell_before = None
        self.target = MemoryTarget(before=lambda what, key: self.before(what, key))
        self.others = {}

    def place(self, target):
        return self.others.get(target.name, self.target)

    async def command(self, type, stream, data=None):
        request = CommandRequest(type=type, stream_id=stream, data=msgspec.json.encode(data or {}))
        return await self.core.handler.handle(request, ME)

    async def prepare(self):
        env, stack, owner = f"{self.name}-env", f"{self.name}-stack", f"{self.name}-owner"
        about = {"name": self.name, "organization_id": owner}
        await self.command("organization.register", owner, {"name": self.name})
        targets = [{"name": "local", "circuit": CIRCUIT}, {"name": "other", "circuit": CIRCUIT}]
        await self.command("environment.register", env, {**about, "targets": targets})
        await self.command("stack.register", stack, about)
        for version, program in (("1", "good"), ("2", "good"), ("3", "sick")):
            release = {"version": version, "release": {"program": program}}
            await self.command("stack.publish_version", stack, release)
        await self.request(self.old, "1")
        assert await self.outcome(self.old) == "deployment.completed"
        self.target.acts.clear()

    async def request(self, id, version, *, targets=("local",), strategy="switch_over", instances=1, **policy):
        data = {"stack_id": f"{self.name}-stack", "environment_id": f"{self.name}-env", "version": version}
        data |= {"targets": targets, "strategy": strategy, "instances": instances, "policy": {**FAST, **policy}}
        asked = await self.command("deployment.request", id, data)
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

    async def environment(self):
        events = await self.core.store.load(StreamId("environment", f"{self.name}-env"), latest=True)
        return DECIDER["environment"].fold([self.core.store.decode(event) for event in events])

    async def nothing_has_changed(self):
        """Exactly the previous state: the old release alone runs and has the traffic, and nothing is reserved."""
        assert [running.start_key for running in await self.target.inventory()] == [f"{self.old}-start"]
        front = await self.target.front(f"{self.name}-env--{self.name}-stack")
        assert front is not None
        assert front.weights == {f"{self.old}-start": 1}
        ended = await self.saga(self.new)
        assert isinstance(ended, saga.Ended)
        assert {effect.status for effect in ended.effects} <= {"undone"}
        placement = await self.environment()
        assert placement.placement(f"{self.name}-stack").live.deployment_id == self.old
        assert placement.placement(f"{self.name}-stack").rollout is None


@asynccontextmanager
async def told(url, name, retries=RETRIES, in_flight=2_000):
    async with open_core(url) as core:
        story = Story(core, name)
        tell = teller(core.handler, core.store)

        async def tell_after_news(commands, ids, also, context):
            if story.tell_before is not None:
                await story.tell_before([each.command for each in commands])
            await tell(commands, ids, also, context)

        definitions = saga_definitions(core, story.place, retries)
        runner = SagaRunner(core.store, tell_after_news, definitions, ack_wait=1.0, in_flight=in_flight)
        running = asyncio.create_task(runner.run())
        try:
            await story.prepare()
            yield story
            assert not running.done(), "the runner has ended"
        finally:
            await end_tasks(running)
