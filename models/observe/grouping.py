"""What comes one after another, taken together when it comes within a time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from typing import TypeVar

from eventstore.tasks import end_tasks

T = TypeVar("T")


async def grouped(
    items: AsyncGenerator[T], size: Callable[[T], int], most: int, patience: Callable[[], float]
) -> AsyncGenerator[list[T]]:
    """Non-empty groups: one ends when its sizes come to `most`, or so many seconds after its first item came.

    `items` never end, and are closed in the end; what they raise is raised.
    """
    coming = asyncio.ensure_future(anext(items))
    try:
        while True:
            await asyncio.wait({coming})
            ends = asyncio.get_running_loop().time() + patience()
            group: list[T] = []
            total = 0
            while total < most and await _comes_by(ends, coming):
                group.append(coming.result())
                total += size(group[-1])
                coming = asyncio.ensure_future(anext(items))
            yield group
    finally:
        await end_tasks(coming)
        await items.aclose()


async def _comes_by(ends: float, coming: asyncio.Future[T]) -> bool:
    """Waiting is given up, what is waited for is not."""
    left = ends - asyncio.get_running_loop().time()
    if not coming.done() and left > 0:
        await asyncio.wait({coming}, timeout=left)
    return coming.done()
