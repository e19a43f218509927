"""Releases that cost little: HTTP servers inside the test, fast enough to be counted by the ten thousand."""

import asyncio
import socket


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class ArmServer:
    """Answers every request with its name, `delay` seconds later; `/status/500/...` answers that status.

    `/cut` breaks off in the middle of an answer. Requests have no body, or one with a Content-Length.
    """

    def __init__(self, name: str, delay: float = 0.0) -> None:
        self.name = name
        self.delay = delay
        self.requests = 0
        self.port = 0
        self._server: asyncio.Server | None = None
        self._open: set[_Visit] = set()

    async def start(self) -> "ArmServer":
        """At the port it had before, if it had one."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: _Visit(self), "127.0.0.1", self.port, backlog=1024)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    def stop(self) -> None:
        """Connections to it are refused from now on, and those it has are broken."""
        if self._server is not None:
            self._server.close()
            self._server = None
        for visit in list(self._open):
            visit.transport.abort()

    def answer(self, path: str) -> bytes:
        status = path.partition("?")[0].split("/")[2] if path.startswith("/status/") else "200"
        body = self.name.encode()
        return b"HTTP/1.1 %b OK\r\nContent-Length: %d\r\n\r\n%b" % (status.encode(), len(body), body)

    def opened(self, visit: "_Visit") -> None:
        self._open.add(visit)

    def closed(self, visit: "_Visit") -> None:
        self._open.discard(visit)


class _Visit(asyncio.Protocol):
    transport: asyncio.Transport

    def __init__(self, arm: ArmServer) -> None:
        self._arm = arm
        self._read = b""

    def connection_made(self, transport) -> None:
        self.transport = transport
        self._arm.opened(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self._arm.closed(self)

    def data_received(self, data: bytes) -> None:
        self._read += data
        while self._complete():
            head, _, rest = self._read.partition(b"\r\n\r\n")
            self._read = rest[_body_length(head) :]
            self._arm.requests += 1
            path = head.split(b" ", 2)[1].decode()
            # One write for each answer: two would wait for each other's acknowledgement.
            if self._arm.delay:
                asyncio.get_running_loop().call_later(self._arm.delay, self._answer, path)
            else:
                self._answer(path)

    def _complete(self) -> bool:
        head, end, rest = self._read.partition(b"\r\n\r\n")
        return bool(end) and len(rest) >= _body_length(head)

    def _answer(self, path: str) -> None:
        if self.transport.is_closing():
            return
        if path == "/cut":
            self.transport.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nonly the beginning")
            self.transport.close()
        else:
            self.transport.write(self._arm.answer(path))


def _body_length(head: bytes) -> int:
    for line in head.lower().split(b"\r\n"):
        if line.startswith(b"content-length:"):
            return int(line.partition(b":")[2])
    return 0
