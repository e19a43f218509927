"""Ending tasks for certain, and what must go on together."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Coroutine
from typing import Any, TypeVar

_T = TypeVar("_T")


async def end_tasks(*tasks: asyncio.Future[Any]) -> None:
    """Cancel tasks and wait until all have ended, whatever they end with.

    More than once if need be: `asyncio.wait_for` of Python 3.11 loses a cancellation that meets a result
    (python/cpython#86296), and client libraries use it in their receive loops. A cancellation of the caller is
    raised when all have ended, not before: nothing is left running behind it.
    """
    cancelled: asyncio.CancelledError | None = None
    while left := {task for task in tasks if not task.done()}:
        for task in left:
            task.cancel()
        try:
            await asyncio.wait(left, timeout=0.5)
        except asyncio.CancelledError as error:
            cancelled = error
    for task in tasks:
        if not task.cancelled():
            task.exception()  # seen: nobody else is going to ask
    if cancelled is not None:
        raise cancelled


async def first_to_end(*works: Coroutine[Any, Any, None]) -> None:
    """Run all until one of them ends or the caller is cancelled; then none of them runs any more. Raises what that one
    raised."""
    tasks = [asyncio.ensure_future(work) for work in works]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    finally:
        await end_tasks(*tasks)


async def finished(work: Coroutine[Any, Any, _T]) -> _T:
    """What it comes to. A cancellation of the caller is raised when it has ended, not before."""
    task = asyncio.ensure_future(work)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        while not task.done():
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.wait((task,))
        if not task.cancelled():
            task.exception()  # seen: nobody else is going to ask
        raise
