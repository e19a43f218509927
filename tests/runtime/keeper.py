"""A supervisor with the two embedded servers, in a process of its own that tests may kill.

python -m tests.runtime.keeper DATA_DIR     prints its events, one a line, and "ready NATS_URL DATABASE_URL"
"""

import asyncio
import signal
import sys
from pathlib import Path

from sagacity.embedded.directory import CannotStart, DataDirectory
from sagacity.embedded.nats_server import nats_service
from sagacity.embedded.postgres import postgres_service
from sagacity.embedded.supervisor import Supervisor


async def main(home: str) -> None:
    directory = DataDirectory(Path(home))
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    with directory.taken():
        async with Supervisor(directory, lambda line: print(line, flush=True)) as supervisor:
            nats, nats_url = nats_service(directory, directory.remembered_port("nats-server"), None)
            await supervisor.start(nats)
            postgres, database_url = postgres_service(directory, directory.remembered_port("postgresql"))
            await supervisor.start(postgres)
            print(f"ready {nats_url} {database_url}", flush=True)
            await stop.wait()


if __name__ == "__main__":
    try:
        asyncio.run(main(sys.argv[1]))
    except CannotStart as error:
        print(error, file=sys.stderr)
        sys.exit(2)
