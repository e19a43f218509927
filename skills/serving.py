"""One skill of a worker: the calls of it that are in hand, each signed for until its result is on record."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

import msgspec
from nats.aio.msg import Msg
from nats.errors import Error as NatsError

from eventstore.envelope import now
from eventstore.errors import EventStoreError
from eventstore.tasks import end_tasks
from skills.executing import Executor
from skills.protocol import Failed, Heartbeat, Leased, Result, Work
from skills.reporting import ProgressOf, Reports
from skills.skill import Skill

log = logging.getLogger(__name__)

_TOKEN: Final = re.compile(r"[A-Za-z0-9_-]{1,200}")
_AGAIN: Final = 1.0
"""Seconds until a call comes back for which something was not there that it needs."""

_LOOK: Final = 2.0
"""Seconds between two looks whether a call in hand is waited for still."""


class Poison(Exception):
    """The message is no call of this skill. `call` and `attempt` where they can be read."""

    def __init__(self, reason: str, call: str | None = None, attempt: int = 1) -> None:
        super().__init__(reason)
        self.call = call
        self.attempt = attempt


class Serving:
    """At most `concurrency` calls at a time; those that are here beyond that wait, and are signed for too."""

    def __init__(
        self, skill: Skill[Any, Any], worker: str, executor: Executor, reports: Reports, concurrency: int
    ) -> None:
        self.skill = skill
        self.poisoned: list[str] = []
        self._worker = worker
        self._executor = executor
        self._reports = reports
        self._concurrency = concurrency
        self._turns = asyncio.Semaphore(concurrency)
        self._in_hand: dict[asyncio.Task[None], Msg] = {}
        self._done = 0
        self._failed = 0

    @property
    def running(self) -> int:
        return len(self._in_hand)

    async def take(self, message: Msg) -> None:
        """Returns when there is room for another one."""
        task = asyncio.create_task(self._in_turn(message))
        self._in_hand[task] = message
        task.add_done_callback(self._over)
        while len(self._in_hand) >= self._concurrency:
            await asyncio.wait(self._in_hand, return_when=asyncio.FIRST_COMPLETED)
            await asyncio.sleep(0)

    async def sign(self) -> None:
        """For ever: the lease of all that is here begins anew before it is over."""
        while True:
            await asyncio.sleep(self.skill.specification.lease / 3)
            for message in tuple(self._in_hand.values()):
                with contextlib.suppress(NatsError, OSError):
                    await message.in_progress()

    async def finish(self, patience: float) -> None:
        """What is not done after so many seconds is given back, and delivered to somebody else at once."""
        if self._in_hand:
            await asyncio.wait(self._in_hand, timeout=patience)
        await end_tasks(*self._in_hand)

    def beat(self, started: datetime, details: Mapping[str, Any]) -> Heartbeat:
        told = {**details, **({"poison": self.poisoned} if self.poisoned else {})}
        version = self.skill.specification.version
        return Heartbeat(self.skill.name, version, self._worker, started, self.running, self._done, self._failed, told)

    async def _in_turn(self, message: Msg) -> None:
        try:
            async with self._turns:
                await self._dealt_with(message)
        except Poison as poison:
            await self._refuse(message, poison)
        except asyncio.CancelledError:
            await _answer(message, b"-NAK")
            raise
        except (EventStoreError, NatsError, OSError) as error:
            log.warning("a call of %s waits: %s", self.skill.name, error)
            await _answer(message, f'-NAK {{"delay": {int(_AGAIN * 1e9)}}}'.encode())

    async def _dealt_with(self, message: Msg) -> None:
        """Acknowledged when its result is on record, and not before."""
        work = self._read(message)
        # Also of a first delivery: a server that was killed may have queued a finished call anew, and a call that
        # nobody waits for any more has a result that the engine has put there.
        if not await self._reports.is_on_record(work.call, work.attempt):
            result = await self._carried_out(work, message.metadata.num_delivered or 1)
            if result is not None:
                await self._reports.result(work.call, work.attempt, result)
                self._done += 1
                self._failed += isinstance(result, Failed)
        await _answer(message, b"+ACK")

    async def _carried_out(self, work: Work, delivery: int) -> Result | None:
        """None: a result of it is on record meanwhile, and what was in hand of it has been ended."""
        if work.system.deadline <= now():
            return Failed("its deadline was over before it was begun", worker=self._worker)
        await self._reports.leased(work.call, work.attempt, Leased(self._worker, delivery))
        progress = ProgressOf(self._reports, work.call, work.attempt, delivery)
        doing = asyncio.ensure_future(self._executor.run(self.skill, work, progress))
        looking = asyncio.ensure_future(self._on_record(work))
        try:
            await asyncio.wait((doing, looking), return_when=asyncio.FIRST_COMPLETED)
            return doing.result() if doing.done() else None
        finally:
            await end_tasks(doing, looking)
            await progress.end()

    async def _on_record(self, work: Work) -> None:
        """Until it is: the engine puts one there for what nobody waits for any more."""
        while True:
            await asyncio.sleep(_LOOK)
            with contextlib.suppress(EventStoreError, NatsError, OSError):
                if await self._reports.is_on_record(work.call, work.attempt):
                    return

    def _read(self, message: Msg) -> Work:
        """Raises Poison."""
        try:
            work = msgspec.json.decode(message.data, type=Work)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise _poison(message.data, f"it is no call: {error}") from error
        if not _TOKEN.fullmatch(work.call):
            raise Poison(f"it is no call: its id is {work.call[:100]!r}")
        version = self.skill.specification.version
        if (work.skill, work.version) != (self.skill.name, version):
            reason = f"it is a call of {work.skill} {work.version}, on the queue of {self.skill.name} {version}"
            raise Poison(reason, work.call, work.attempt)
        return work

    async def _refuse(self, message: Msg, poison: Poison) -> None:
        """For good: it would be the same for everybody. Whoever waits is told where it says who that is."""
        reason = str(poison)
        log.error("a message on %s is dropped: %s", message.subject, reason)
        self.poisoned = [*self.poisoned[-9:], reason[:200]]
        if poison.call is not None:
            failed = Failed(reason[:4_000], retryable=False, invalid=True, worker=self._worker)
            await self._reports.result(poison.call, poison.attempt, failed)
        await _answer(message, f"+TERM {reason[:200]}".encode())

    def _over(self, task: asyncio.Task[None]) -> None:
        self._in_hand.pop(task, None)
        if not task.cancelled() and task.exception() is not None:
            log.error("a call of %s is left to others", self.skill.name, exc_info=task.exception())


async def _answer(message: Msg, what: bytes) -> None:
    """Lost, it is delivered again when its lease is over."""
    with contextlib.suppress(NatsError, OSError):
        await message.respond(what)


def _poison(raw: bytes, reason: str) -> Poison:
    try:
        named = msgspec.json.decode(raw, type=_Named)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return Poison(reason)
    return Poison(reason, named.call, named.attempt) if _TOKEN.fullmatch(named.call) else Poison(reason)


class _Named(msgspec.Struct):
    """As much of a call as is needed to answer it."""

    call: str
    attempt: int
