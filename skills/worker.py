"""A worker: takes calls of its skills from their queues, carries them out, and says that it is there.

FastStream consumes, by `skills/taking.py`. Its defaults would lose work here: see
docs/decisions/0006-nats-py-inside-faststream-at-the-edges.md.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import re
import secrets
import socket
from collections.abc import Coroutine, Iterable
from typing import Any, Final

import msgspec
from faststream.nats import NatsBroker
from nats.errors import Error as NatsError

from domain.skill import Isolation
from eventstore.blobs import Blobs
from eventstore.connection import INBOX, Connection, connect_to
from eventstore.envelope import now
from eventstore.errors import LogUnavailable
from eventstore.tasks import first_to_end
from skills.executing import Executor, importable
from skills.isolation.confining import unenforced
from skills.protocol import BEAT, heartbeat_subject
from skills.reporting import Reports
from skills.schedules import schedule_fault
from skills.serving import Serving
from skills.skill import Skill
from skills.streams import keep_consumer
from skills.taking import Queue

log = logging.getLogger(__name__)

_GLANCE: Final = 0.1
"""Seconds that FastStream waits for what is in hand; we wait longer, and sign for it meanwhile."""

_UNSAFE: Final = re.compile(r"[^A-Za-z0-9_-]+")


class Worker:
    """`concurrency`: calls of each skill at a time. `processes`: of the pool for work of the processor. `unenforced`:
    isolated skills run even where this machine cannot keep all limits. `patience`: seconds for what is in hand when it
    is stopped. Raises ValueError with all that is wrong with the skills."""

    def __init__(
        self,
        skills: Iterable[Skill[Any, Any]],
        url: str,
        *,
        concurrency: int = 10,
        name: str | None = None,
        processes: int | None = None,
        unenforced: bool = False,
        patience: float = 10.0,
    ) -> None:
        self.skills = tuple(skills)
        self.name = _UNSAFE.sub("-", name or f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(2)}")[:100]
        self.ready = asyncio.Event()
        self._url = url
        self._concurrency = concurrency
        self._processes = processes
        self._unenforced = unenforced
        self._patience = patience
        self._started = now()
        faults = [fault for skill in self.skills for fault in _faults(skill)]
        if faults:
            raise ValueError("; ".join(faults))

    async def run(self, stop: asyncio.Event | None = None) -> None:
        """Until cancelled or `stop`; then it finishes what it has in hand, or gives it back. Raises LogUnavailable when
        there is no server to begin with, or none that was initialised."""
        connection = await connect_to(self._url, name=f"worker-{self.name}")
        executor = Executor(Blobs(connection), worker=self.name, processes=self._processes, unenforced=self._unenforced)
        reports = Reports(connection)
        serving = [Serving(each, self.name, executor, reports, self._room(each)) for each in self.skills]
        broker = NatsBroker(
            self._url.split(","),
            max_reconnect_attempts=-1,
            reconnect_time_wait=1,
            inbox_prefix=INBOX,
            logger=None,
            graceful_timeout=_GLANCE,
        )
        try:
            async with broker:
                await self._serve(connection, broker, serving, stop or asyncio.Event())
        finally:
            self.ready.clear()
            await executor.close()
            await connection.close()

    async def _serve(
        self, connection: Connection, broker: NatsBroker, serving: list[Serving], stop: asyncio.Event
    ) -> None:
        await _keep_consumers(connection, serving)
        await broker.start()
        queues = [Queue(broker, connection, each) for each in serving]
        work = [*(each.sign() for each in serving), *(each.follow() for each in queues)]
        try:
            await first_to_end(self._beat(connection, serving), _until(stop), *work)
        finally:
            await asyncio.gather(*(each.stop() for each in queues))
            await asyncio.gather(*_signed(serving, self._patience))

    async def _beat(self, connection: Connection, serving: list[Serving]) -> None:
        """A queue that was deleted meanwhile is there again: FastStream would wait for it without a pause."""
        self.ready.set()
        while True:
            with contextlib.suppress(NatsError, OSError):
                for each in serving:
                    beat = each.beat(self._started, _details(each.skill))
                    await connection.publish(heartbeat_subject(beat), msgspec.json.encode(beat))
            await asyncio.sleep(BEAT)
            with contextlib.suppress(LogUnavailable):
                await _keep_consumers(connection, serving)

    def _room(self, skill: Skill[Any, Any]) -> int:
        return 1 if skill.specification.scaling == "event_driven" else self._concurrency


async def _keep_consumers(connection: Connection, serving: Iterable[Serving]) -> None:
    """Raises LogUnavailable."""
    for each in serving:
        specification = each.skill.specification
        await keep_consumer(connection, each.skill.name, specification.version, specification.lease)


async def _until(stop: asyncio.Event) -> None:
    await stop.wait()


def _signed(serving: Iterable[Serving], patience: float) -> list[Coroutine[Any, Any, None]]:
    """What is being finished is signed for as before."""
    return [first_to_end(each.sign(), each.finish(patience)) for each in serving]


def _details(skill: Skill[Any, Any]) -> dict[str, Any]:
    isolation = skill.specification.isolation or (Isolation() if skill.runs == "isolated" else None)
    missing = unenforced(isolation) if isolation is not None else ()
    return {"unenforced": missing} if missing else {}


def _faults(skill: Skill[Any, Any]) -> Iterable[str]:
    specification = skill.specification
    if skill.runs in {"process", "isolated"} or specification.isolation is not None:
        try:
            importable(skill)
        except ValueError as error:
            yield str(error)
    wrong = schedule_fault(specification)
    if wrong is not None:
        yield f"{skill.name}: its schedule {wrong}"
