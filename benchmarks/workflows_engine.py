"""Our engine: the saga as a workflow of three steps, each call and its result an event of its own.

Command handler, engine and skills share one process, as they do under `sagacity up`; read models are off, as nobody
else keeps any.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from typing import Any, Final
from uuid import uuid4

import msgspec

from benchmarks.workflows_sagas import COMPENSATED, COMPLETED, STEPS, Measured, drive, ends, step, undo
from domain.circuit import CircuitPolicy
from domain.skill import RetryPolicy
from domain.workflow_definition import Compensation, Definition, Step
from eventstore.envelope import StreamId
from eventstore.tasks import end_tasks
from handlers.command import Caller, CommandRequest
from sagacity.initialising import initialise_server
from sagacity.wiring import Core, open_core
from sagacity.workflow_work import register_skills, workflow_engine
from skills.skill import Context, Skill, SkillFailed, skill, skill_of

_ENDS: Final = {"workflow.completed": COMPLETED, "workflow.failed": COMPENSATED}
_ME: Final = Caller(actor="bench")
_DEFINITION: Final = "saga"
_NEVER_OPEN: Final = CircuitPolicy(failures=1_000, recovery=0.1)
"""Runs fail here on purpose, and nobody else waits for a skill to recover."""


class Given(msgspec.Struct, frozen=True):
    run: int


class Gave(msgspec.Struct, frozen=True):
    run: int
    step: int
    state: str


class Engine:
    """Callers hear of the end of their run from the log itself."""

    name = "Sagacity"

    def __init__(self, core: Core) -> None:
        self._core = core
        self._waiting: dict[str, asyncio.Future[str]] = {}

    async def start(self, runs: int, in_flight: int) -> Measured:
        prefix = uuid4().hex[:12]
        measured = await drive(runs, in_flight, lambda run: self._once(f"{prefix}-{run}", run))
        for run in (1, min(runs, 10)):
            await self._check(f"{prefix}-{run}", ends(run))
        return measured

    async def follow(self) -> None:
        """Until cancelled."""
        store = self._core.store
        async with store.follow((await store.state()).last, categories=["workflow"]) as feed:
            async for batch in feed.batches():
                for event in batch:
                    waiting = self._waiting.pop(event.stream.id, None) if event.type in _ENDS else None
                    if waiting is not None:
                        waiting.set_result(_ENDS[event.type])

    async def _once(self, id: str, run: int) -> str:
        self._waiting[id] = over = asyncio.get_running_loop().create_future()
        await give(self._core, "workflow.start", id, {"definition": _DEFINITION, "input": {"run": run}})
        return await over

    async def _check(self, id: str, end: str) -> None:
        """Every step has its own event, as have those that undo. Raises RuntimeError."""
        events = await self._core.store.load(StreamId("workflow", id), latest=True)
        done = sum(event.type == "workflow.succeeded" for event in events)
        if done != (STEPS if end == COMPLETED else 2 * (STEPS - 1)):
            raise RuntimeError(f"{id} has {done} results on record")


@asynccontextmanager
async def engine_on(nats_url: str) -> AsyncGenerator[Engine]:
    """On a log of its own, initialised as any."""
    await initialise_server(nats_url)
    async with open_core(nats_url) as core:
        offered = _skills()
        await register_skills(core, offered)
        definition = msgspec.to_builtins(_definition())
        await give(core, "workflow_definition.publish", _DEFINITION, {"definition": definition})
        contender, engine = Engine(core), workflow_engine(core, offered)
        running = [asyncio.create_task(engine.run()), asyncio.create_task(contender.follow())]
        await engine.ready()
        try:
            yield contender
        finally:
            await end_tasks(*running)


async def give(core: Core, type: str, id: str, data: dict[str, Any]) -> None:
    """Raises RuntimeError when it is refused."""
    request = CommandRequest(type=type, stream_id=id, data=msgspec.json.encode(data))
    outcome = await core.handler.handle(request, _ME, timeout=120)
    if outcome.outcome == "refused":
        raise RuntimeError(f"{type} was refused: {outcome.reason}")


def _definition() -> Definition:
    """Each step after the one before; what fails is not tried again, as with the others."""
    names = [f"step{number}" for number in range(1, STEPS + 1)]
    return Definition(
        {
            name: Step(
                skill=name,
                input="${input}",
                needs=tuple(names[number - 1 : number]),
                retry=RetryPolicy(attempts=1),
                compensate=Compensation(f"un{name}", input="${given}") if number < STEPS - 1 else None,
            )
            for number, name in enumerate(names)
        }
    )


def _skills() -> list[Skill[Any, Any]]:
    forward = [_skill(f"step{number}", number, step) for number in range(1, STEPS + 1)]
    return forward + [_skill(f"unstep{number}", number, undo) for number in range(1, STEPS)]


def _skill(name: str, number: int, work: Callable[[int, int], dict[str, int | str]]) -> Skill[Any, Any]:
    @skill(name, circuit=_NEVER_OPEN)
    async def done(given: Given, context: Context) -> Gave:
        try:
            return msgspec.convert(work(given.run, number), Gave)
        except ValueError as error:
            raise SkillFailed(str(error), retryable=False) from error

    return skill_of(done)
