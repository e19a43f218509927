"""A log with the command handler, and runners of automations over it that can be stopped at any moment."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any

import msgspec

from domain import automation
from eventstore.blobs import Blobs
from eventstore.envelope import StreamId
from eventstore.tasks import end_tasks
from records.automations.acting import Actions, notify
from records.automations.giving import Behalf
from records.automations.occurrence import Looked, Occurrence, Repeated
from records.automations.runner import Automations, Report
from sagacity.record_work import give, report
from sagacity.wiring import Core

TESTER = Behalf("tester")


async def until(true: Callable[[], Awaitable[bool] | bool], timeout: float = 20.0) -> None:
    deadline = time.monotonic() + timeout
    while True:
        found = true()
        if found if isinstance(found, bool) else await found:
            return
        assert time.monotonic() < deadline, "it does not come to that"
        await asyncio.sleep(0.02)


@asynccontextmanager
async def collected(occurrences: AsyncGenerator[Occurrence | Repeated | Looked]) -> AsyncIterator[list[Occurrence]]:
    """Whatever occurs, as it occurs; a failure of the watching is one of the test."""
    found: list[Occurrence] = []

    async def collect() -> None:
        async for each in occurrences:
            if isinstance(each, Occurrence):
                found.append(each)  # noqa: PERF401 - the test looks at it meanwhile

    task = asyncio.create_task(collect())
    try:
        yield found
        assert not task.done() or task.result()
    finally:
        await end_tasks(task)


class Automating:
    """Handed to tests."""

    def __init__(self, core: Core, variables: Mapping[str, str]) -> None:
        self.core = core
        self.variables = dict(variables)
        self.notify = notify

    async def give(
        self, type: str, stream_id: str | None, data: bytes, command_id: str, behalf: Behalf = TESTER
    ) -> str | None:
        return await give(self.core, type, stream_id, data, command_id, behalf)

    async def report(
        self, category: str, id: str, command: msgspec.Struct, command_id: str, behalf: Behalf = TESTER
    ) -> str | None:
        return await report(self.core, category, id, command, command_id, behalf)

    async def command(self, type: str, id: str, data: Mapping[str, Any] | None = None) -> None:
        refused = await self.give(
            type, id, msgspec.json.encode(data or {}), f"{type.replace('.', '-')}-{time.time_ns()}"
        )
        assert refused is None, refused

    @asynccontextmanager
    async def running(self, report: Report | None = None) -> AsyncIterator[Automations]:
        """Ended without a goodbye, as by a kill."""
        actions = Actions(self.core.aggregates, Blobs(self.core.connection), self.give, self.variables, self.notify)
        automations = Automations(self.core.store, actions, report or self.report)
        task = asyncio.create_task(automations.run())
        try:
            await asyncio.wait_for(automations.ready.wait(), 20)
            yield automations
        finally:
            await end_tasks(task)

    async def fired(self, id: str) -> list[automation.Fired]:
        """Everything that an automation has dealt with."""
        events = [self.core.store.decode(event) for event in await self.core.store.load(StreamId("automation", id))]
        return [event for event in events if isinstance(event, automation.Fired)]

    async def events(self, category: str, type: str) -> list[Any]:
        page = await self.core.store.read(category=category)
        return [self.core.store.decode(event) for event in page if event.type == type]

    async def has_fired(self, id: str, times: int = 1) -> None:
        async def enough() -> bool:
            return len(await self.fired(id)) >= times

        await until(enough)
