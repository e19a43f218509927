"""The saga role in processes of its own, of which one may strike right before or right after it writes at a boundary.

    python -m tests.crash.saga_process

Each line of stdin is a JSON list, the arguments of one more process: NATS_URL PROCESS_HOST [before|after BOUNDARY
DEPLOYMENT self|PID]; its pid is the line of stdout that follows. `self`: that process is killed -9 there. A pid: the
process with that pid is (nats-server, a postmaster, a process host), and this one goes on. Of a boundary that comes
several times the first one counts. They are forked, because to import everything takes longer than a whole rollout.
"""

import asyncio
import json
import os
import signal
import sys
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import uvloop

from eventstore.store import EventStore
from eventstore.tasks import end_tasks
from sagacity.wiring import Core, open_core, saga_runner, targets
from sagas.rollout import RetryPolicy
from sagas.runner import SagaRunner
from tests.crash.boundaries import boundary

ACK_WAIT = 1.0
RETRIES = RetryPolicy(attempts=60, first=0.05, longest=0.5)


def hit(victim: str) -> None:
    os.kill(os.getpid() if victim == "self" else int(victim), signal.SIGKILL)


def wound(store: EventStore, when: str, where: str, subject: str, victim: str) -> None:
    append_all = store.append_all
    struck = False

    async def striking(writes, *arguments, **named):
        nonlocal struck
        here = not struck and _boundary_of(writes, subject) == where
        struck = struck or here
        if here and when == "before":
            hit(victim)
        appended = await append_all(writes, *arguments, **named)
        if here and when == "after":
            hit(victim)
        return appended

    store.append_all = striking


def _boundary_of(writes, subject: str) -> str | None:
    sagas = (("saga", f"{kind}-{subject}") for kind in ("deployment", "retraining"))
    streams = (*sagas, ("deployment", subject))
    mine = [write for write in writes if (write.stream.category, write.stream.id) in streams]
    return boundary(subject, [event for write in mine for event in write.events])


async def run(nats_url: str, runner_of: Callable[[Core], SagaRunner], *wounds: str) -> None:
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    async with open_core(nats_url, name="saga under test") as core:
        if wounds:
            wound(core.store, *wounds)
        running = asyncio.create_task(runner_of(core).run())
        await stop.wait()
        await end_tasks(running)


async def main(nats_url: str, host: str, *wounds: str) -> None:
    await run(nats_url, lambda core: saga_runner(core, targets(Path(host)), RETRIES, ack_wait=ACK_WAIT), *wounds)


def serve(main: Callable[..., Coroutine[Any, Any, None]]) -> None:
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # so that the dead are gone at once
    for line in sys.stdin:
        pid = os.fork()
        if pid == 0:
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            uvloop.run(main(*json.loads(line)))
            os._exit(0)
        print(pid, flush=True)


if __name__ == "__main__":
    serve(main)
