"""Ports on loopback."""

from __future__ import annotations

import asyncio
import contextlib
import random
import socket
from collections.abc import Container
from typing import Final

from sagas.targets.port import TargetUnavailable

RANGE: Final = range(20_000, 32_768)
"""Below the ports that Linux and macOS give to outgoing connections, so that nobody takes one by accident."""


def is_free(port: int, host: str = "127.0.0.1") -> bool:
    """Whether a server could listen there now."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as probe:
        # As servers do: connections that linger after their server ended do not make a port taken.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
        return True


def choose(taken: Container[int], host: str = "127.0.0.1") -> int:
    """A free port that is not in `taken`. Raises TargetUnavailable when there is none."""
    for port in random.sample(RANGE, len(RANGE)):
        if port not in taken and is_free(port, host):
            return port
    raise TargetUnavailable(f"no port from {RANGE.start} to {RANGE.stop - 1} is free")


async def listens(port: int) -> bool:
    """Whether a connection to the port is accepted now."""
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return False
    writer.close()
    with contextlib.suppress(OSError):
        await writer.wait_closed()
    return True
