"""Real requests through a front: a small constant load for a canary to be judged by, and probes of who answers."""

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncIterator

from domain import canary
from eventstore.envelope import StreamId
from eventstore.errors import LogUnavailable
from sagacity.wiring import Core
from tests.crash.stories import WATCHED
from tests.targets.fast_load import Visitor, ask_often

CLIENTS = 3
PAUSE = 0.015
"""Seconds between two requests of a client."""


@contextlib.asynccontextmanager
async def visiting(core: Core, port: int, id: str) -> AsyncIterator[None]:
    """From the first verdict of the watched step on, to the end."""
    coming = asyncio.create_task(_visit(core, port, id))
    try:
        yield
        assert not coming.done() or coming.exception() is None, coming.exception()
    finally:
        coming.cancel()
        await asyncio.gather(coming, return_exceptions=True)


async def answers_of(port: int, count: int) -> Counter[tuple[int | None, str]]:
    """How often which status and body came."""
    return Counter((answer.status, answer.body) for answer in await ask_often(port, count, clients=2))


async def _visit(core: Core, port: int, id: str) -> None:
    while not await _is_watched(core, id):
        await asyncio.sleep(0.05)
    await asyncio.gather(*(_ask(port) for _ in range(CLIENTS)))


async def _is_watched(core: Core, id: str) -> bool:
    try:
        stored = await core.store.load(StreamId("deployment", id), latest=True)
    except LogUnavailable:
        return False
    events = [core.store.decode(event) for event in stored]
    return any(isinstance(event, canary.Judged) and event.step == WATCHED for event in events)


async def _ask(port: int) -> None:
    """Whatever the answer is: a front may be away for a moment."""
    with contextlib.closing(Visitor(port)) as visitor:
        while True:
            with contextlib.suppress(ConnectionError):
                await visitor.ask()
            await asyncio.sleep(PAUSE)
