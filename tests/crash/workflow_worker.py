"""A worker of the skills that the engine's process does not do, as `sagacity worker` runs it, which may be killed in
the middle of its work.
"""

import asyncio
import os
import signal
from pathlib import Path

from skills.protocol import Result
from skills.reporting import Reports
from skills.worker import Worker
from tests.crash.saga_process import hit
from tests.crash.workflow_skills import Moment, skills
from tests.crash.workflow_story import REMOTE

STAGES = ("taken", "done", "published")
"""Of a call in the hands of a worker: before its effect, after it, and when its result is on record, but the message
with the work is not acknowledged yet."""


def released(ledger: str | Path, call: str) -> Path:
    """The file at which a worker that holds a call lets it go."""
    return Path(f"{ledger}-{call}")


async def work(nats_url: str, case: str, ledger: str, stage: str = "", wounded: str = "") -> None:
    """Killed at the `stage` of the call `wounded`; with `held` its result waits until it is released."""

    async def at(moment: Moment, call: str) -> None:
        if call == wounded and moment == stage:
            hit("self")
        while call == wounded and (moment, stage) == ("done", "held") and not released(ledger, call).exists():
            await asyncio.sleep(0.01)

    if stage == "published":
        _strike_once_published(wounded)
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    offered = skills(case, ledger, REMOTE, at)
    await Worker(offered, nats_url, name=f"{case}-{os.getpid()}").run(stop)


def _strike_once_published(wounded: str) -> None:
    publish = Reports.result

    async def striking(self: Reports, call: str, attempt: int, result: Result) -> None:
        await publish(self, call, attempt, result)
        if call == wounded:
            hit("self")

    Reports.result = striking
