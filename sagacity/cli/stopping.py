"""Ctrl-C and SIGTERM, at any moment: what was begun is ended in order, and that is all there is to say."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


async def until_stopped(work: Callable[[asyncio.Event], Coroutine[Any, Any, T]]) -> T | None:
    """What `work` returns; None when it was cancelled because of a signal. Either way it has ended.

    `work` is given the event that says the same, to wait for and to look at: client libraries lose a cancellation now
    and then.
    """
    signalled, stop = asyncio.Event(), asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, signalled.set)
    working, stopping = asyncio.create_task(work(stop)), asyncio.create_task(signalled.wait())
    await asyncio.wait({working, stopping}, return_when=asyncio.FIRST_COMPLETED)
    stopping.cancel()
    working.cancel()  # once, and before the event: neither a second signal nor this may interrupt the stopping
    stop.set()
    await asyncio.wait({working})
    return None if working.cancelled() else working.result()
