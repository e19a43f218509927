"""What the target and its host say to each other: HTTP on a Unix socket, bodies in JSON.

    PUT    /effects/{key}            an Operation           → Effect
    DELETE /effects/{key}?undo=free  (or stop, …)           → nothing
    GET    /effects/{key}                                   → Effect
    POST   /validate                 a Release              → nothing
    GET    /releases                                        → [Running]
    GET    /releases/{key}/health                           → Health
    GET    /releases/{key}/logs?after=0&limit=1000          → [LogLine]
    GET    /fronts/{name}                                   → Front | null
    GET    /fronts/{name}/reading                           → Reading

Errors are problem+json; `type` names the error of the target port.
"""

from __future__ import annotations

import os
import socket
import tempfile
from pathlib import Path
from typing import Final

from sagas.targets.port import ReleaseFailed, TargetError, TargetRefused, TargetUnavailable

REFUSED: Final = "refused"
RELEASE_FAILED: Final = "release-failed"
UNAVAILABLE: Final = "unavailable"

_SOCKET: Final = "control.sock"
_ELSEWHERE: Final = "control.path"
_LONGEST: Final = 100
"""Bytes; the system's limit for the path of a Unix socket is 104 to 108."""


def error_of(kind: str, detail: str, faults: tuple[str, ...]) -> TargetError:
    if kind == REFUSED:
        return TargetRefused(faults or (detail,))
    return ReleaseFailed(detail) if kind == RELEASE_FAILED else TargetUnavailable(detail)


def socket_of(place: Path) -> Path:
    """The control socket, given itself or the data directory of its host."""
    if not place.is_dir():
        return place
    try:
        return Path((place / _ELSEWHERE).read_text())
    except FileNotFoundError:
        return place / _SOCKET


def bind_socket(data: Path) -> socket.socket:
    """The control socket of a host, for its own user only; a stale one is replaced. Raises OSError."""
    elsewhere = data / _ELSEWHERE
    remove_socket(data)
    path = data / _SOCKET
    if len(os.fsencode(path)) > _LONGEST:
        path = Path(_short_directory()) / _SOCKET
        elsewhere.write_text(str(path))
    bound = socket.socket(socket.AF_UNIX)
    before = os.umask(0o177)
    try:
        bound.bind(str(path))
    finally:
        os.umask(before)
    return bound


def remove_socket(data: Path) -> None:
    path = socket_of(data)
    path.unlink(missing_ok=True)
    if path.parent != data:
        (data / _ELSEWHERE).unlink(missing_ok=True)
        if path.parent.is_dir():
            path.parent.rmdir()


def _short_directory() -> str:
    made = tempfile.mkdtemp(prefix="sagas-")
    if len(os.fsencode(made)) + len(_SOCKET) < _LONGEST:
        return made
    Path(made).rmdir()
    return tempfile.mkdtemp(prefix="sagas-", dir="/tmp")
