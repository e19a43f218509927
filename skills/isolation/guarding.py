"""The guardian of an isolated call: it looks at what all processes of the call have used together.

The kernel limits each process; what they use in sum is looked at here, a few times a second.
"""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

from skills.isolation.exchange import (
    SPENT_CPU,
    SPENT_MEMORY,
    SPENT_PROCESSES,
    SPENT_WRITES,
    Confinement,
)

_LOOK: Final = 0.2
"""Seconds."""

_GRACE: Final = 1.0
"""Seconds of the processor beyond the limit: one process alone is ended by the kernel."""

_TICKS: Final = os.sysconf("SC_CLK_TCK")
_PAGE: Final = os.sysconf("SC_PAGE_SIZE")


class Used(NamedTuple):
    """By a process group: seconds of the processor, bytes of memory, bytes written, processes."""

    cpu: float = 0.0
    memory: int = 0
    written: int = 0
    processes: int = 0


def guard(group: int, confinement: Confinement) -> int:
    """Until the leader of the group has ended or somebody asks (SIGTERM), then nobody of it is left. SPENT_…, or the
    exit code of the leader, negative for a signal. SIGTERM and SIGCHLD are blocked."""
    over = spent = status = 0
    asked = False
    while not (over or spent or asked):
        heard = signal.sigtimedwait({signal.SIGTERM, signal.SIGCHLD}, _LOOK)
        asked = heard is not None and heard.si_signo == signal.SIGTERM
        over, status, usage = os.wait4(group, os.WNOHANG)
        if not over:
            spent = _spent(group, used_by(group), confinement)
        elif status and usage.ru_utime + usage.ru_stime >= confinement.isolation.cpu:
            spent = SPENT_CPU
    _end(group)
    if not over:
        _, status = os.waitpid(group, 0)
    return spent or os.waitstatus_to_exitcode(status)


def used_by(group: int) -> Used:
    total = Used()
    for process, fields in _processes(group):
        total = _sum(total, fields, _written(process))
    return total


def _processes(group: int) -> Iterator[tuple[Path, list[bytes]]]:
    """With what proc_pid_stat(5) names after the name: state, ppid, pgrp, … What is gone has used nothing."""
    for process in Path("/proc").iterdir():
        if process.name.isdigit():
            with contextlib.suppress(OSError, IndexError, ValueError):
                fields = (process / "stat").read_bytes().rpartition(b")")[2].split()
                if int(fields[2]) == group:
                    yield process, fields


def _sum(total: Used, fields: list[bytes], written: int) -> Used:
    cpu = sum(map(int, fields[11:15])) / _TICKS  # its own and its children's, in the system and outside
    return Used(total.cpu + cpu, total.memory + int(fields[21]) * _PAGE, total.written + written, total.processes + 1)


def _written(process: Path) -> int:
    """By the calls it made and in storage: a mapped file is written without a call."""
    with contextlib.suppress(OSError):
        lines = (line.split(b": ") for line in (process / "io").read_bytes().splitlines())
        found = {name: int(value) for name, value in lines}
        return max(found.get(b"wchar", 0), found.get(b"write_bytes", 0))
    return 0


def _in_common(group: int) -> int:
    """Bytes of memory, what several of them share counted once. Takes longer than to look at each."""
    total = 0
    for process, _ in _processes(group):
        with contextlib.suppress(OSError):
            lines = (process / "smaps_rollup").read_bytes().splitlines()
            total += sum(1024 * int(line.split()[1]) for line in lines if line.startswith(b"Pss:"))
    return total


def _spent(group: int, used: Used, confinement: Confinement) -> int:
    isolation, bounds = confinement.isolation, confinement.bounds
    if used.cpu > isolation.cpu + _GRACE:
        return SPENT_CPU
    if used.processes > bounds.processes:
        return SPENT_PROCESSES
    if used.memory > isolation.memory and _in_common(group) > isolation.memory:
        return SPENT_MEMORY
    return SPENT_WRITES if used.written > bounds.written else 0


def _end(group: int) -> None:
    for end in (os.killpg, os.kill):  # by its id too: it may not lead its group yet
        with contextlib.suppress(ProcessLookupError, PermissionError):
            end(group, signal.SIGKILL)


def end_like(code: int) -> int:
    """With the same code, or by the same signal."""
    if code >= 0:
        return code
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {-code})
    with contextlib.suppress(OSError, ValueError):
        signal.signal(-code, signal.SIG_DFL)
    os.kill(os.getpid(), -code)
    return 128 - code
