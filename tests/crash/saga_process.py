"""The saga role in a process of its own that is hit right before or right after its n-th write of a saga event.

    python -m tests.crash.saga_process NATS_URL PROCESS_HOST [before|after N self|PID]

`self`: this process is killed -9 there. A pid: that process is (nats-server, a postmaster), and this one goes on.
"""

import asyncio
import os
import signal
import sys
from pathlib import Path

import uvloop

from eventstore.store import EventStore
from eventstore.tasks import end_tasks
from sagacity.wiring import open_core, saga_runner, targets
from sagas.rollout import RetryPolicy

ACK_WAIT = 1.0


def hit(victim: str) -> None:
    os.kill(os.getpid() if victim == "self" else int(victim), signal.SIGKILL)


def wound(store: EventStore, when: str, number: int, victim: str) -> None:
    """Count the writes that carry saga events, and strike at the chosen one."""
    append_all = store.append_all
    count = 0

    async def counted(writes, *arguments, **named):
        nonlocal count
        of_saga = any(write.stream.category == "saga" and write.events for write in writes)
        count += of_saga
        here = of_saga and count == number
        if here and when == "before":
            hit(victim)
        appended = await append_all(writes, *arguments, **named)
        if here and when == "after":
            hit(victim)
        return appended

    store.append_all = counted


async def main(nats_url: str, host: str, when: str = "", number: str = "0", victim: str = "") -> None:
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    async with open_core(nats_url, name="saga under test") as core:
        if when:
            wound(core.store, when, int(number), victim)
        retries = RetryPolicy(attempts=6, first=0.05, longest=0.5)
        runner = saga_runner(core, targets(Path(host)), retries, ack_wait=ACK_WAIT)
        running = asyncio.create_task(runner.run())
        await stop.wait()
        await end_tasks(running)


if __name__ == "__main__":
    uvloop.run(main(*sys.argv[1:]))
