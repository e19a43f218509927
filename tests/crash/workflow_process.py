"""Engines of workflows, workers and a projector in processes of their own, of which one may strike.

    python -m tests.crash.workflow_process

As `saga_process`, with lines of
    engine NATS_URL CASE LEDGER [before|after BOUNDARY STREAM self|PID]
    worker NATS_URL CASE LEDGER [taken|done|published|held CALL]
    projector NATS_URL DATABASE_URL READ_MODEL...
"""

import asyncio
import signal
from typing import Literal

from eventstore.tasks import end_tasks
from sagacity.wiring import open_core
from sagacity.workflow_work import workflow_engine
from tests.crash.saga_process import ACK_WAIT, hit, serve
from tests.crash.workflow_skills import skills
from tests.crash.workflow_story import REMOTE, SKILLS, boundary
from tests.crash.workflow_worker import work


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


async def run_engine(nats_url: str, case: str, ledger: str, *wounds: str) -> None:
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    async with open_core(nats_url, name="workflows under test") as core:
        if wounds:
            wound(core.store, *wounds)
        here = skills(case, ledger, [name for name in SKILLS if name not in REMOTE])
        running = asyncio.create_task(workflow_engine(core, here, ack_wait=ACK_WAIT).run())
        await stop.wait()
        await end_tasks(running)


async def main(role: Literal["engine", "worker", "projector"], *arguments: str) -> None:
    match role:
        case "engine":
            await run_engine(*arguments)
        case "worker":
            await work(*arguments)
        case "projector":
            from tests.crash.projector_process import main as project  # few cases need all that it imports

            await project(*arguments)


if __name__ == "__main__":
    serve(main)
