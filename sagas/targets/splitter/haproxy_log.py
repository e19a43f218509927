"""HAProxy's log of requests, which is counted: it comes line by line over a Unix socket, from a ring of 16 MiB.

HAProxy's own counters hold neither a histogram nor what failed. But they tell how many lines there must be.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Final, NamedTuple

from sagas.targets.splitter.counting import ArmCounts

_MARK: Final = b"= "
_ABSENT: Final = b"-"
_SWITCHING_PROTOCOLS: Final = 101
_CLOCK_SLACK: Final = 2


class Request(NamedTuple):
    """`ended` is HAProxy's termination state: who ended it (`-`: nobody before its end), and in which phase."""

    slot: int
    status: int
    ended: str
    seconds: float
    method: str
    path: str
    incident: str | None


def parse(line: bytes) -> Request | None:
    """None for a line that is not of a request with a route. Raises ValueError for one that is broken."""
    if not line.startswith(_MARK):
        return None
    _, server, slot, status, ended, whole, fine, method, path, incident = line.split(b" ")
    if slot == _ABSENT:
        return None
    return Request(
        int(server[1:] if server.startswith(b"s") else slot),
        int(status),
        ended.decode(),
        _seconds(int(whole), int(fine)),
        method.decode(errors="replace"),
        path.decode(errors="replace"),
        None if incident == _ABSENT else incident.decode(),
    )


def _seconds(whole: int, fine: int) -> float:
    """From milliseconds of a steady clock and microseconds of the clock that may be set, and then does not count."""
    return fine / 1e6 if 0 <= fine <= (whole + _CLOCK_SLACK) * 1000 else whole / 1e3


def count(arm: ArmCounts, request: Request) -> None:
    """An answer that HAProxy gives because the arm gave none, or only a part, is none."""
    _, status, ended, seconds, method, path, incident = request
    if status == _SWITCHING_PROTOCOLS:
        arm.record(status, None, method, path, incident)
    elif ended[0] in "Cc":
        arm.abandoned(seconds)
    elif ended[0] == "-":
        arm.record(status, seconds, method, path, incident)
    else:
        arm.record(None, None, method, path, incident)


class RequestLog:
    """Listens for one HAProxy. `heard` gets every request with a route."""

    def __init__(self, heard: Callable[[Request], None]) -> None:
        self._heard = heard
        self._answered = 0
        self._news = asyncio.Event()
        self._server: asyncio.Server | None = None

    async def listen(self, socket: Path) -> None:
        self._server = await asyncio.get_running_loop().create_unix_server(
            lambda: _Lines(self._line, self._news), socket
        )

    def close(self) -> None:
        if self._server is not None:
            self._server.close()

    async def missing(self, answered: int, within: float) -> int:
        """How many lines have not come in so many seconds, of requests that were answered; they are told once."""
        try:
            async with asyncio.timeout(within):
                while self._answered < answered:
                    self._news.clear()
                    await self._news.wait()
        except TimeoutError:
            lost = answered - self._answered
            self._answered = answered
            return lost
        return 0

    def _line(self, line: bytes) -> None:
        try:
            request = parse(line)
        except ValueError:
            return
        if request is not None:
            self._answered += request.status > 0
            self._heard(request)


class _Lines(asyncio.Protocol):
    def __init__(self, line: Callable[[bytes], None], news: asyncio.Event) -> None:
        self._line = line
        self._news = news
        self._rest = b""

    def data_received(self, data: bytes) -> None:
        *lines, self._rest = (self._rest + data).split(b"\n")
        for line in lines:
            self._line(line)
        self._news.set()
