"""One measurement of DBOS: parameters as JSON on standard input, the result as JSON on standard output.

Runs in the environment of requirements.txt, with PYTHONPATH at the root of the repository.
"""
# pyright: basic, reportMissingImports=false

import asyncio
import gc
import json
import sys

from dbos import DBOS, SetWorkflowID

from benchmarks import workflows_sagas as sagas

given = json.load(sys.stdin)
DBOS(
    config={
        "name": "bench",
        "system_database_url": given["url"],
        "log_level": "ERROR",
        "max_executor_threads": given["threads"],
        # Its question before each use of a connection, whether it is alive, costs a quarter of the runs/s.
        "db_engine_kwargs": {"pool_pre_ping": False},
    }
)


@DBOS.step()
async def do(run: int, number: int):
    return sagas.step(run, number)


@DBOS.step()
async def undo(run: int, number: int):
    return sagas.undo(run, number)


@DBOS.workflow()
async def saga(run: int):
    done: list[int] = []
    try:
        for number in range(1, sagas.STEPS + 1):
            await do(run, number)
            done.append(number)
    except ValueError:
        for number in reversed(done):
            await undo(run, number)
        return sagas.COMPENSATED
    return sagas.COMPLETED


async def once(prefix: str, run: int) -> str:
    with SetWorkflowID(f"{prefix}-{run}"):
        return await saga(run)


async def main() -> None:
    DBOS.launch()
    prefix = given["prefix"]
    await sagas.drive(given["warmUp"], 20, lambda run: once(f"warm-{prefix}", run))
    gc.freeze()
    gc.set_threshold(50_000, 20, 100)  # as in our own processes
    measured = await sagas.drive(given["runs"], given["inFlight"], lambda run: once(prefix, run))
    json.dump(measured._asdict(), sys.stdout)


asyncio.run(main())
DBOS.destroy()
