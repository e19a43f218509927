"""The retraining saga in processes of its own, of which one may strike right before or right after it writes.

    python -m tests.crash.retraining_process

As `saga_process`, with lines of NATS_URL [before|after BOUNDARY EXPERIMENT self|PID]. Trainings are real ones.
"""

from eventstore.blobs import Blobs
from sagacity.wiring import Core, teller
from sagas.runner import SagaRunner
from sagas.training_steps import retraining_saga
from tests.crash.saga_process import ACK_WAIT, RETRIES, run, serve


def runner_of(core: Core) -> SagaRunner:
    definition = retraining_saga(core.store, core.aggregates, Blobs(core.connection), RETRIES, look_again=0.1)
    return SagaRunner(core.store, teller(core.handler, core.store), [definition], ack_wait=ACK_WAIT)


async def main(nats_url: str, *wounds: str) -> None:
    await run(nats_url, runner_of, *wounds)


if __name__ == "__main__":
    serve(main)
