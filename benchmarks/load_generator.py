"""HTTP/1.1 keep-alive connections that post as fast as they are answered, or at a given rate."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from urllib.parse import urlsplit

import msgspec

_numbers = itertools.count()
_HEAD = b"POST %s HTTP/1.1\r\nHost: b\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
_RUN = f"{time.time_ns():x}"


@dataclass
class Load:
    """Times in seconds, from sending a request to its whole answer."""

    latencies: list[float] = field(default_factory=list[float])
    failures: int = 0
    elapsed: float = 0.0

    @property
    def rate(self) -> float:
        return len(self.latencies) / self.elapsed

    def percentile(self, share: float) -> float:
        ordered = sorted(self.latencies)
        return ordered[min(len(ordered) - 1, int(len(ordered) * share))] if ordered else float("nan")


async def post_commands(url: str, connections: int, seconds: float, *, rate: float | None = None) -> Load:
    return await post(url, connections, seconds, _command, status=201, rate=rate)


async def post(
    url: str, connections: int, seconds: float, request: Callable[[], bytes], *, status: int, rate: float | None = None
) -> Load:
    """What `request` gives, again and again; an answer with another status is a failure."""
    load = Load()
    until = time.perf_counter() + seconds
    began = time.perf_counter()
    pause = connections / rate if rate else 0.0
    await asyncio.gather(*(_connection(url, until, pause, load, request, status) for _ in range(connections)))
    load.elapsed = time.perf_counter() - began
    return load


def posted(path: str, body: bytes) -> bytes:
    """One request."""
    return _HEAD % (path.encode(), len(body)) + body


async def _connection(
    url: str, until: float, pause: float, load: Load, request: Callable[[], bytes], wanted: int
) -> None:
    place = urlsplit(url)
    reader, writer = await asyncio.open_connection(place.hostname, place.port)
    while (began := time.perf_counter()) < until:
        writer.write(request())
        status = await _answer(reader)
        took = time.perf_counter() - began
        load.latencies.append(took)
        load.failures += status != wanted
        if pause > took:
            await asyncio.sleep(pause - took)
    writer.close()


def _command() -> bytes:
    name = f"b-{_RUN}-{next(_numbers)}"
    body = msgspec.json.encode(
        {
            "id": name,
            "type": "organization.register",
            "stream": {"category": "organization", "id": name},
            "data": {"name": "Benchmark", "description": "x" * 180},
        }
    )
    return posted("/api/v1/commands", body)


async def _answer(reader: asyncio.StreamReader) -> int:
    head = await reader.readuntil(b"\r\n\r\n")
    lowered = head.lower()
    start = lowered.index(b"content-length:") + 15
    await reader.readexactly(int(lowered[start : lowered.index(b"\r\n", start)]))
    return int(head[9:12])
