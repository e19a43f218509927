"""Somebody who gets our questions, and answers them: a receiver of what Apprise sends."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from aiohttp import web

VARIABLE = "DEMO_MAILBOX"
"""Where the source of the demo says that its questions go."""


class Mailbox:
    """`letters` are the texts that have come, oldest first."""

    def __init__(self) -> None:
        self.letters: list[str] = []
        self._come = asyncio.Event()

    async def letter(self, number: int, patience: float = 60.0) -> str:
        """The one with this number, from 1. Raises TimeoutError."""
        async with asyncio.timeout(patience):
            while len(self.letters) < number:
                self._come.clear()
                await self._come.wait()
        return self.letters[number - 1]

    async def _take(self, request: web.Request) -> web.Response:
        self.letters.append(str((await request.json())["message"]))
        self._come.set()
        return web.Response()

    @asynccontextmanager
    async def open(self, port: int) -> AsyncGenerator[Mailbox]:
        application = web.Application()
        application.router.add_post("/{to}", self._take)
        runner = web.AppRunner(application, access_log=None)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", port).start()
        try:
            yield self
        finally:
            await runner.cleanup()


def address(port: int) -> str:
    """As Apprise wants it."""
    return f"json://127.0.0.1:{port}/{{to}}"
