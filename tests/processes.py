"""What other processes do takes its time: it is waited for."""

import asyncio

import psutil


async def are_over(*pids: int) -> None:
    """Dead, whether anybody has taken note of it or not. Raises TimeoutError."""
    async with asyncio.timeout(10):
        while not all(map(_is_over, pids)):
            await asyncio.sleep(0.02)


def _is_over(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True
