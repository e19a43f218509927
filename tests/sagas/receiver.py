"""A platform's API on this machine that takes messages: as Telegram's, with what one wants it to do."""

import asyncio
from contextlib import asynccontextmanager
from typing import NamedTuple

from aiohttp import web


class Taken(NamedTuple):
    id: str
    to: str
    text: str


class Receiver:
    """`taken` are the messages in the order in which they came. `status` is what it answers with; while `hold` is
    set, what has come stays without an answer. `came` tells of every message."""

    def __init__(self):
        self.taken = []
        self.status = 200
        self.hold = False
        self.came = asyncio.Event()
        self.released = asyncio.Event()
        self.url = ""

    async def take(self, request):
        body = await request.json()
        if self.status != 200:
            self.came.set()
            return web.json_response({"ok": False, "description": "not now"}, status=self.status)
        message = Taken(str(len(self.taken) + 1), str(body["chat_id"]), body["text"])
        self.taken.append(message)
        self.came.set()
        if self.hold:
            await self.released.wait()
        return web.json_response({"ok": True, "result": {"message_id": int(message.id), "chat": {"id": message.to}}})

    def release(self):
        self.hold = False
        self.released.set()


@asynccontextmanager
async def receiving():
    receiver, app = Receiver(), web.Application()
    app.router.add_post("/bot{token}/sendMessage", receiver.take)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    receiver.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield receiver
    finally:
        receiver.released.set()
        await runner.cleanup()
