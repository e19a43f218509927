"""The projector role in a process of its own.

python -m tests.crash.projector_process NATS_URL DATABASE_URL [READ_MODEL...]

Of all read models, or of those that are named.
"""

import asyncio
import signal
import sys

import uvloop

from eventstore.tasks import end_tasks
from projections.read_models import READ_MODELS
from projections.runner import ProjectionRunner
from sagacity.wiring import open_core


async def main(nats_url: str, database_url: str, *names: str) -> None:
    models = [model for model in READ_MODELS if not names or model.name in names]
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    async with open_core(nats_url, name="projector under test") as core:
        running = asyncio.create_task(ProjectionRunner(core.store, database_url, models).run())
        await stop.wait()
        await end_tasks(running)


if __name__ == "__main__":
    uvloop.run(main(*sys.argv[1:]))
