"""Noticing a process that runs and does not answer."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Probe:
    """`answers` is asked every `interval` seconds, and has `timeout` seconds for it.

    Only `failures` in a row count: a machine that is merely slow answers one of them.
    """

    answers: Callable[[], Awaitable[bool]]
    interval: float = 5.0
    timeout: float = 5.0
    failures: int = 6


async def until_it_hangs(probe: Probe | None) -> None:
    """Returns when too many probes in a row have failed; never where there is no probe."""
    if probe is None:
        await asyncio.Event().wait()
        return
    failed = 0
    while failed < probe.failures:
        await asyncio.sleep(probe.interval)
        failed = 0 if await _answers(probe) else failed + 1


async def _answers(probe: Probe) -> bool:
    with contextlib.suppress(Exception):  # whatever goes wrong with the question, it was not answered
        async with asyncio.timeout(probe.timeout):
            return await probe.answers()
    return False
