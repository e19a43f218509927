"""Workflows on the real engine and the real log, with skills that keep a list of what they did."""

import asyncio
import time
from contextlib import asynccontextmanager
from typing import Any

import msgspec

from domain import workflow
from domain.contexts import DECIDERS
from eventstore.envelope import StreamId
from eventstore.tasks import end_tasks
from handlers.command import Caller, CommandRequest
from sagacity.wiring import open_core
from sagacity.workflow_work import register_skills, workflow_engine
from sagas.workflows.engine import IN_HAND
from skills.skill import Context, skill, skill_of

ME = Caller(actor="ann")
DECIDER = {decider.category: decider for decider in DECIDERS}
ACK_WAIT = 1.0
ENDED = ("workflow.completed", "workflow.failed", "workflow.cancelled")


class Numbered(msgspec.Struct):
    n: int


def failing_first(times=1):
    """Fails so often before it gives what it is given."""
    failures = iter((True,) * times)

    def stumble(given):
        if next(failures, False):
            raise ValueError("not now")
        return given

    return stumble


class Story:
    """Everything of one test has its `name` before it: the log is shared."""

    def __init__(self, core, name):
        self.core, self.name = core, name
        self.done = []
        """What was done, as (skill, call, attempt, input)."""
        self.skills, self.others = [], []
        """Those of the engine's process, and those of others."""
        self.engines = []

    def skill(self, name, function=lambda given: given, **options):
        """A coroutine of this process; `function` may wait."""

        async def work(given: Any, context: Context) -> Any:
            self.done.append((name, context.system.call, context.system.attempt, given))
            result = function(given)
            return await result if asyncio.iscoroutine(result) else result

        skill(self.of(name), **options)(work)
        self.skills.append(skill_of(work))
        return self.of(name)

    def typed(self, name):
        """Takes a number under the name of n, and nothing else."""

        async def work(given: Numbered, context: Context) -> int:
            self.done.append((name, context.system.call, context.system.attempt, given.n))
            return given.n

        skill(self.of(name))(work)
        self.skills.append(skill_of(work))
        return self.of(name)

    def of(self, name):
        return f"{self.name}-{name}"

    async def command(self, type, stream, data=None, category=None):
        request = CommandRequest(type=type, stream_id=stream, data=msgspec.json.encode(data or {}))
        return await self.core.handler.handle(request, ME)

    async def accepted(self, type, stream, data=None):
        outcome = await self.command(type, stream, data)
        assert outcome.outcome == "accepted", outcome
        return outcome

    async def publish(self, steps, name="flow", **definition):
        await register_skills(self.core, [*self.skills, *self.others])
        data = {"definition": {"steps": steps, **definition}}
        await self.accepted("workflow_definition.publish", self.of(name), data)

    async def start(self, input=None, name="flow", run="run", **more):
        await self.accepted("workflow.start", self.of(run), {"definition": self.of(name), "input": input, **more})
        return self.of(run)

    async def run(self, steps, input=None, **definition):
        """From the definition to the end."""
        await self.publish(steps, **definition)
        return await self.ended(await self.start(input))

    async def state(self, run="run"):
        return DECIDER["workflow"].fold([self.core.store.decode(each) for each in await self.log(run)])

    async def log(self, run="run"):
        id = run if run.startswith(f"{self.name}-") else self.of(run)
        return await self.core.store.load(StreamId("workflow", id), latest=True)

    async def events(self, kind, run="run"):
        found = [self.core.store.decode(each) for each in await self.log(run)]
        return [each for each in found if isinstance(each, kind)]

    async def ended(self, run="run", timeout=20.0):
        return await self.until(lambda: self.state(run), lambda state: isinstance(state, workflow.Ended), timeout)

    async def until(self, look, right, timeout=20.0):
        deadline = time.monotonic() + timeout
        while not right(seen := await look()):
            assert time.monotonic() < deadline, seen
            await asyncio.sleep(0.02)
        return seen

    async def waits_for(self, kind, run="run", count=1):
        return await self.until(lambda: self.events(kind, run), lambda found: len(found) >= count)

    def engine(self, *, ack_wait=ACK_WAIT, most_in_hand=IN_HAND):
        """Another process, as far as the log can tell."""
        engine = workflow_engine(self.core, self.skills, ack_wait=ack_wait)
        engine.room.most = most_in_hand
        running = asyncio.create_task(engine.run())
        self.engines.append(running)
        return engine, running

    async def crash(self):
        """All engines are gone, and nobody is told: their wake-ups come back when their time is over."""
        for running in self.engines:
            await end_tasks(running)
        self.engines.clear()

    def names_done(self):
        return [name for name, *_ in self.done]


@asynccontextmanager
async def told(url, name):
    async with open_core(url) as core:
        story = Story(core, name)
        try:
            yield story
            for running in story.engines:
                assert not running.done(), "the engine has ended"
        finally:
            for running in story.engines:
                await end_tasks(running)


@asynccontextmanager
async def running(url, name, **options):
    """With an engine, of these options, that knows the skills that are there when it is asked for the first time."""
    async with told(url, name) as story:
        publish = story.publish

        async def publish_and_run(*arguments, **named):
            await publish(*arguments, **named)
            if not story.engines:
                engine, _ = story.engine(**options)
                await engine.ready()

        story.publish = publish_and_run
        yield story
