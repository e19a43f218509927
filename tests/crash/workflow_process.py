"""The engine of workflows in processes of its own, of which one may strike right before or right after it writes.

    python -m tests.crash.workflow_process

As `saga_process`, with lines of NATS_URL CASE LEDGER [before|after BOUNDARY STREAM self|PID]. Before a skill does
anything, its call is a line in the file LEDGER, on the disk.
"""

import asyncio
import os
import signal
import time
from typing import Any

from eventstore.tasks import end_tasks
from sagacity.wiring import open_core
from sagacity.workflow_work import workflow_engine
from skills.skill import Context, Skill, SkillFailed
from tests.crash.saga_process import ACK_WAIT, hit, serve
from tests.crash.workflow_story import SKILLS, Broken, boundary, specification


def skills(case: str, ledger: str) -> list[Skill[Any, Any]]:
    """Of one case, each with the name of the case before it."""
    return [_skill(case, name, ledger) for name in SKILLS]


def _skill(case: str, name: str, ledger: str) -> Skill[Any, Any]:
    async def work(given: Any, context: Context) -> Any:
        written = os.open(ledger, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        os.write(written, f"{context.system.call} {context.system.attempt} {time.time()}\n".encode())
        os.fsync(written)
        os.close(written)
        await asyncio.sleep(0.001)
        try:
            return SKILLS[name](given)
        except Broken as error:
            raise SkillFailed(str(error)) from error

    return Skill(f"{case}-{name}", named(case, name), "async", work, Any, Any)


def named(case, name):
    known = specification(name)
    fallback = f"{case}-{known.fallback}" if known.fallback else None
    return type(known)(known.version, retry=known.retry, fallback=fallback)


def wound(store, when: str, where: str, stream: str, victim: str) -> None:
    append_all = store.append_all
    struck = False

    async def striking(writes, *arguments, **named):
        nonlocal struck
        mine = [event for write in writes if str(write.stream) == f"workflow/{stream}" for event in write.events]
        here = not struck and where in map(boundary, mine)
        struck = struck or here
        if here and when == "before":
            hit(victim)
        appended = await append_all(writes, *arguments, **named)
        if here and when == "after":
            hit(victim)
        return appended

    store.append_all = striking


async def main(nats_url: str, case: str, ledger: str, *wounds: str) -> None:
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    async with open_core(nats_url, name="workflows under test") as core:
        if wounds:
            wound(core.store, *wounds)
        running = asyncio.create_task(workflow_engine(core, skills(case, ledger), ack_wait=ACK_WAIT).run())
        await stop.wait()
        await end_tasks(running)


if __name__ == "__main__":
    serve(main)
