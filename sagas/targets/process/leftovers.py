"""Processes of releases that outlived a host that was killed: found by what identifies them, and killed.

On Linux releases die with the host; their own children need not, and are found by a mark in their environment.
Elsewhere a release is known by its process id together with its start time, noted when it was started.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Final

MARK: Final = "SAGAS_PROCESS_HOST"
"""The environment variable that carries the host's data directory."""


def note(directory: Path, start_key: str, pid: int) -> None:
    """Write down which process runs a release. Raises OSError."""
    directory.mkdir(exist_ok=True)
    (directory / start_key).write_text(f"{pid} {_start_time(pid)}")


def strike(directory: Path, start_key: str) -> None:
    (directory / start_key).unlink(missing_ok=True)


def sweep(directory: Path, data: Path) -> list[int]:
    """Kill what is left of the host that had this data directory; answers the process ids."""
    left = {*_noted(directory), *_marked(data)}
    for pid in left:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(pid, signal.SIGKILL)
    return sorted(left)


def _noted(directory: Path) -> Iterator[int]:
    for file in directory.glob("*"):
        pid, _, start_time = file.read_text(errors="replace").partition(" ")
        if pid.isdecimal() and start_time and start_time == _start_time(int(pid)):
            yield int(pid)
        file.unlink()


def _marked(data: Path) -> Iterator[int]:
    mark = os.fsencode(f"{MARK}={data}")
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if mark in (process / "environ").read_bytes().split(b"\0"):
                yield int(process.name)


def _start_time(pid: int) -> str:
    """Empty when there is no such process."""
    try:
        # After the command, which may hold anything, in parentheses; the 22nd field of the whole line.
        return Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()[19]
    except OSError:
        if Path("/proc/self/stat").exists():
            return ""
    found = subprocess.run(["ps", "-o", "lstart=", "-p", str(pid)], capture_output=True, text=True, check=False)
    return found.stdout.strip()
