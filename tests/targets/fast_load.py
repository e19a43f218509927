"""Load by the ten thousand: raw keep-alive connections, nothing that a client library would do beyond it."""

import asyncio
import contextlib
import itertools
from collections.abc import Callable, Mapping
from dataclasses import dataclass

Headers = Mapping[str, str]


@dataclass(frozen=True)
class Answer:
    """`status` None: there was no whole answer. `body` is the name of the arm when that is what it answers."""

    status: int | None
    body: str = ""
    headers: str = ""


class Visitor:
    """One keep-alive connection to a port of this machine, opened again when the server has closed it."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def ask(self, path: str = "/", headers: Headers | None = None, method: str = "GET") -> Answer:
        lines = "".join(f"{name}: {value}\r\n" for name, value in (headers or {}).items())
        try:
            reader, writer = await self._connection()
            writer.write(f"{method} {path} HTTP/1.1\r\nHost: front\r\n{lines}\r\n".encode())
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            body = await reader.readexactly(_length(head))
        except (OSError, asyncio.IncompleteReadError):
            self.close()
            return Answer(None)
        if "\r\nconnection: close" in head.lower():
            self.close()
        return Answer(int(head.split(" ", 2)[1]), body.decode(), head)

    def close(self) -> None:
        if self._streams is not None:
            self._streams[1].close()
            self._streams = None

    async def _connection(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        if self._streams is None:
            self._streams = await asyncio.open_connection("127.0.0.1", self._port)
        return self._streams


async def ask_often(
    port: int, count: int, clients: int = 32, headers: Callable[[int], Headers] | None = None, path: str = "/"
) -> list[Answer]:
    """So many requests, each once; `headers` is asked for those of every request by its number."""
    numbers = itertools.count()
    answers: list[Answer] = []

    async def work() -> None:
        with contextlib.closing(Visitor(port)) as visitor:
            while (number := next(numbers)) < count:
                answers.append(await visitor.ask(path, headers(number) if headers else None))

    await asyncio.gather(*(work() for _ in range(clients)))
    return answers


def _length(head: str) -> int:
    for line in head.lower().split("\r\n"):
        if line.startswith("content-length:"):
            return int(line.partition(":")[2])
    return 0
