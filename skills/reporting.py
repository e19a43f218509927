"""What a worker says of the calls it has in hand. Only the result has to arrive."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from typing import Final

import msgspec
from nats.errors import Error as NatsError

from eventstore.connection import Connection
from eventstore.errors import LogUnavailable
from eventstore.streams import ask, error_code
from skills.protocol import REPORTS, Failed, Leased, Progressed, Report, Result, report_subject

log = logging.getLogger(__name__)

_THERE_ALREADY: Final = 10077
"""JetStream: the subject has the one message that it may have."""

_NOT_THERE: Final = 10037
_PAUSE: Final = 0.5
_EVERY: Final = 1.0
"""Seconds from one report of progress to the next."""

_NUMBERS: Final = 100_000
"""Reports of progress of one delivery: those of the next have greater numbers."""


class NotStored(Exception):
    """The server answers that it does not take the report."""


class Reports:
    """Safe for any number of concurrent callers."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def leased(self, call: str, attempt: int, leased: Leased) -> None:
        await self.passing(report_subject(call, attempt, f"leased-{leased.delivery}"), leased)

    async def passing(self, subject: str, report: Report) -> None:
        """Nothing depends on it."""
        with contextlib.suppress(NatsError, OSError):
            await self._connection.publish(subject, msgspec.json.encode(report))

    async def result(self, call: str, attempt: int, result: Result) -> None:
        """On record when it returns, this one or one that came first; until then it is sent again and again."""
        content, told = self._encoded(result), ""
        while True:
            try:
                return await self._store(report_subject(call, attempt), content)
            except (NotStored, NatsError, OSError, TimeoutError) as error:
                if told != str(error):
                    log.warning("the result of %s waits: %s", call, error or type(error).__name__)
                    told = str(error)
            await asyncio.sleep(_PAUSE)

    async def is_on_record(self, call: str, attempt: int) -> bool:
        """As the leader of the stream knows it: a follower may be late. Raises LogUnavailable."""
        wanted = {"last_by_subj": report_subject(call, attempt)}
        answer = await ask(self._connection, f"STREAM.MSG.GET.{REPORTS}", wanted)
        if error_code(answer) not in (0, _NOT_THERE):
            raise LogUnavailable(f"{REPORTS}: {answer['error']['description']}")
        return not error_code(answer)

    def _encoded(self, result: Result) -> bytes:
        content = msgspec.json.encode(result)
        if len(content) <= self._connection.max_payload:
            return content
        reason = f"its result has {len(content)} bytes; this server takes at most {self._connection.max_payload}"
        return msgspec.json.encode(Failed(reason, False, False, result.worker, result.seconds, result.cost))

    async def _store(self, subject: str, content: bytes) -> None:
        ack = await self._connection.request(subject, content, timeout=5)
        answer = msgspec.json.decode(ack.data)
        if error_code(answer) not in (0, _THERE_ALREADY):
            raise NotStored(answer["error"]["description"])


class ProgressOf:
    """Of one call: at most one report a second, and the last one, however often it is told."""

    def __init__(self, reports: Reports, call: str, attempt: int, delivery: int) -> None:
        self._reports = reports
        self._call = call
        self._attempt = attempt
        self._number = delivery * _NUMBERS
        self._latest: Progressed | None = None
        self._sending: asyncio.Task[None] | None = None

    def __call__(self, fraction: float, note: str = "") -> None:
        self._latest = Progressed(fraction, note)
        if self._sending is None:
            self._sending = asyncio.create_task(self._send())

    async def end(self) -> None:
        """The last one is under way."""
        if self._sending is not None:
            self._sending.cancel()
            await asyncio.wait({self._sending})
        await self._send_latest()

    async def _send(self) -> None:
        while self._latest is not None:
            await self._send_latest()
            await asyncio.sleep(_EVERY)
        self._sending = None

    async def _send_latest(self) -> None:
        latest, self._latest = self._latest, None
        if latest is not None:
            self._number += 1
            subject = report_subject(self._call, self._attempt, f"progress-{self._number}")
            await self._reports.passing(subject, latest)
