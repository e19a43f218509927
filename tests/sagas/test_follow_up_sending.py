"""What is sent under a key is sent once in a process, unless it failed."""

import asyncio

import pytest

from sagas.follow_up_sending import Deliveries
from tests.sagas.questions import MONDAY, hours


class Platform:
    def __init__(self):
        self.now = MONDAY
        self.sent = []
        self.works = True
        self.answers = asyncio.Event()
        self.answers.set()
        self.deliveries = Deliveries(lambda: self.now)

    async def send(self):
        self.sent.append(self.now)
        await self.answers.wait()
        if not self.works:
            raise OSError("away")
        return f"m{len(self.sent)}"

    async def once(self, key="r1-1-ask"):
        return await self.deliveries.once(key, self.send)


async def test_asked_again_it_says_when_it_was_sent():
    platform = Platform()
    first = await platform.once()
    platform.now += hours(3)
    assert await platform.once() == await platform.deliveries.outcome("r1-1-ask") == first == ("m1", MONDAY)
    assert (await platform.once("r1-1-remind")).external_id == "m2"


async def test_what_failed_is_tried_again():
    platform = Platform()
    platform.works = False
    with pytest.raises(OSError, match="away"):
        await platform.once()
    assert await platform.deliveries.outcome("r1-1-ask") is None
    platform.works = True
    assert (await platform.once()).external_id == "m2"


async def test_who_does_not_wait_any_more_does_not_stop_it():
    platform = Platform()
    platform.answers.clear()
    waiting = asyncio.create_task(platform.once())
    while not platform.sent:
        await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    outcome = asyncio.create_task(platform.deliveries.outcome("r1-1-ask"))
    await asyncio.sleep(0)
    assert not outcome.done()
    platform.answers.set()
    assert (await outcome).external_id == "m1"
    assert len(platform.sent) == 1


async def test_of_what_was_never_begun_nothing_is_known():
    assert await Platform().deliveries.outcome("r1-1-ask") is None


async def test_it_remembers_the_latest_thousand():
    platform = Platform()
    for number in range(1_001):
        await platform.once(f"r{number}-1-ask")
    assert await platform.deliveries.outcome("r0-1-ask") is None
    assert await platform.deliveries.outcome("r1000-1-ask") is not None
