"""A disk that is nearly full: commands are refused in time, with the reason, and taken again when there is room."""

import asyncio
from contextlib import asynccontextmanager

import pytest

from eventstore.errors import LogFull
from eventstore.tasks import end_tasks
from handlers.command import Caller, CommandRequest
from sagacity.initialising import initialise_server
from sagacity.room import watch_room
from sagacity.wiring import open_core

REGISTER = CommandRequest(type="organization.register", data=b'{"name": "Acme"}')


@asynccontextmanager
async def watched(core, home, reserve):
    watching = asyncio.create_task(watch_room(core.store, home, reserve))
    await asyncio.sleep(0)
    try:
        yield
    finally:
        await end_tasks(watching)


async def test_writes_are_refused_before_the_disk_is_full(own_nats, tmp_path):
    await initialise_server(own_nats.url)
    async with open_core(own_nats.url) as core:
        async with watched(core, tmp_path, reserve=10**18):
            with pytest.raises(LogFull, match=r"\d+ MB are left on the disk of the log"):
                await core.handler.handle(REGISTER, Caller(actor="ann"))
            assert core.store.full is not None
        async with watched(core, tmp_path, reserve=0):
            assert (await core.handler.handle(REGISTER, Caller(actor="ann"))).outcome == "accepted"
