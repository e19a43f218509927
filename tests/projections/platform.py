"""A log with the command handler, a database, and a projector over both."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager

import asyncpg
import msgspec

from eventstore.tasks import end_tasks
from handlers.command import Caller, CommandRequest
from projections.projection import Journal, Table
from projections.queries import ReadModels
from projections.read_models import READ_MODELS
from projections.rows import row_of
from projections.runner import ProjectionRunner
from sagacity.initialising import initialise_server
from sagacity.wiring import open_core

ME = Caller(actor="ann")


class Projecting:
    """Handed to tests: commands in, read models out."""

    def __init__(self, core, pool, database_url, models):
        self.core, self.pool, self.url, self.models_of = core, pool, database_url, models
        self.models, self.handler = ReadModels(pool, core.store, models), core.handler

    async def command(self, type, stream, data=None):
        request = CommandRequest(type=type, stream_id=stream, data=msgspec.json.encode(data or {}))
        return await self.core.handler.handle(request, ME)

    async def head(self):
        return (await self.core.store.state()).last

    @asynccontextmanager
    async def running(self, models=None, wait=True):
        runner = ProjectionRunner(self.core.store, self.url, models or self.models_of)
        task = asyncio.create_task(runner.run())
        try:
            if wait:
                await asyncio.wait_for(runner.ready.wait(), 20)
            yield runner
        finally:
            await end_tasks(task)

    async def caught_up(self, *names, timeout=20.0):
        """Every read model (or those named) knows the whole log."""
        head = await self.head()
        async with asyncio.timeout(timeout):
            while True:
                try:
                    for name in names or [model.name for model in self.models_of]:
                        await self.models.wait_for(name, head, timeout)
                    return
                except asyncpg.PostgresError:
                    await asyncio.sleep(0.05)

    async def status(self, name):
        return next(status for status in await self.models.statuses() if status.name == name)


@asynccontextmanager
async def projecting(nats_url, database_url, models=READ_MODELS):
    await initialise_server(nats_url)
    async with open_core(nats_url) as core:
        pool = await asyncpg.create_pool(database_url, min_size=1, max_size=4)
        try:
            yield Projecting(core, pool, database_url, models)
        finally:
            pool.terminate()


async def equals_the_fold(platform):
    """Every table holds exactly what a fold of the whole log gives."""
    log, position = [], 0
    while page := await platform.core.store.read(position, 1000):
        log += page
        position = page[-1].position
    for model in platform.models_of:
        events = [(e, platform.core.store.decode(e)) for e in log if e.stream.category in model.categories]
        for table in model.tables:
            expected = {}
            for event, data in events:
                match table:
                    case Journal():
                        expected |= {row.id: row for row in table.told(event, data)}
                    case Table():
                        for key, part in table.changes(event, data):
                            expected[key] = table.fold(expected.get(key), event, part)
            found = await platform.pool.fetch(f'SELECT * FROM "{model.name}"."{table.name}"')
            assert {r["id"]: row_of(table, dict(r)) for r in found} == {
                key: row for key, row in expected.items() if row is not None
            }, table.name
