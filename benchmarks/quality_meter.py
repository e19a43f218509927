"""Where the processor's time goes: by the stage of a record, and of the log's server."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Coroutine, Generator
from functools import partial
from pathlib import Path
from types import coroutine
from typing import Any, ClassVar, Final, TypeVar

from domain import record
from domain.record import Known
from domain.source import Configuration
from records.stages import Stages
from tests.eventstore.servers import Servers

_TICKS: Final = 100.0
"""Of the processor, a second, as Linux counts them."""

Spent = defaultdict[str, float]
"""Seconds of the processor by part."""

T = TypeVar("T")


class Meter:
    """Seconds of this thread's processor time that are spent within parts, not while they wait."""

    def __init__(self) -> None:
        self.spent: Spent = defaultdict(float)

    async def of(self, name: str, work: Coroutine[Any, Any, T]) -> T:
        return await self._driven(name, work)

    @coroutine
    def _driven(self, name: str, work: Coroutine[Any, Any, T]) -> Generator[Any, Any, T]:
        step: Callable[[], Any] = partial(work.send, None)
        while True:
            begun = time.thread_time()
            try:
                waits_for = step()
            except StopIteration as over:
                return over.value
            finally:
                self.spent[name] += time.thread_time() - begun
            try:
                step = partial(work.send, (yield waits_for))
            except BaseException as error:
                step = partial(work.throw, error)


class MeteredStages(Stages):
    """One a round: the fields of a frozen class are fixed."""

    meter: ClassVar[Meter]

    async def enrich(self, known: Known, configuration: Configuration) -> record.Enrich:
        return await self.meter.of("enrich", super().enrich(known, configuration))

    async def analyse(self, known: Known, configuration: Configuration) -> record.Analyse:
        return await self.meter.of("analyse", super().analyse(known, configuration))

    def score(self, known: Known, configuration: Configuration) -> record.Score:
        begun = time.thread_time()
        try:
            return super().score(known, configuration)
        finally:
            self.meter.spent["score"] += time.thread_time() - begun


def server_seconds(servers: Servers) -> float:
    """Of the processor, by the only server that listens there."""
    port = servers.url.rpartition(":")[2]
    for process in Path("/proc").glob("[0-9]*"):
        try:
            command = (process / "cmdline").read_bytes()
            if b"nats-server" in command and _listens(command, port):
                fields = (process / "stat").read_text().rpartition(")")[2].split()
                return (int(fields[11]) + int(fields[12])) / _TICKS
        except OSError:
            continue
    return 0.0


def _listens(command: bytes, port: str) -> bool:
    configuration = Path(command.split(b"\0")[2].decode())
    return f":{port}" in configuration.read_text()
