"""The retraining saga in processes of its own, of which one may strike right before or right after it writes.

    python -m tests.crash.retraining_process

As `saga_process`, with lines of NATS_URL [before|after BOUNDARY EXPERIMENT self|PID]. Trainings are real ones.
"""

import asyncio
import signal

from eventstore.blobs import Blobs
from eventstore.tasks import end_tasks
from sagacity.wiring import open_core, teller
from sagas.rollout import RetryPolicy
from sagas.runner import SagaRunner
from sagas.training_steps import retraining_saga
from tests.crash.saga_process import ACK_WAIT, serve, wound


async def main(nats_url: str, *wounds: str) -> None:
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    async with open_core(nats_url, name="saga under test") as core:
        if wounds:
            wound(core.store, *wounds)
        retries = RetryPolicy(attempts=60, first=0.05, longest=0.5)
        definition = retraining_saga(core.store, core.aggregates, Blobs(core.connection), retries, look_again=0.1)
        runner = SagaRunner(core.store, teller(core.handler, core.store), [definition], ack_wait=ACK_WAIT)
        running = asyncio.create_task(runner.run())
        await stop.wait()
        await end_tasks(running)


if __name__ == "__main__":
    serve(main)
