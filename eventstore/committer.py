"""Group commit: waiting appends share one atomic batch, so that one fsync carries many.

A conflict costs only the write that caused it; an ambiguous outcome (timeout, leader change) is settled by reading
the subject through the leader and comparing bytes, never by guessing. See docs/guarantees.md.
"""

from __future__ import annotations

import asyncio
import base64
import itertools
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple

import msgspec
from nats.errors import Error as NatsError

from eventstore.connection import Connection, publication, status
from eventstore.errors import LogUnavailable, WriteTooLarge, WrongVersion
from eventstore.streams import LogLocation, ask, error_code

MAX_BATCH: Final = 1000
"""Messages in one atomic batch: the server's limit."""

_MAX_BATCH_BYTES: Final = 8 * 1024 * 1024
_FLIGHTS: Final = 2
"""Batches under way at once: while the server syncs one, the next is collected and encoded."""

_WORTH_A_BATCH: Final = 10
"""A batch costs about as much as this many pipelined single publishes (benchmarks/append.py)."""

_TOO_LARGE: Final = frozenset({10054, 10199})
_OUT_OF_SPACE: Final = frozenset({10023, 10047})


class Message(NamedTuple):
    subject: str
    payload: bytes


class _Ack(msgspec.Struct):
    seq: int = 0
    error: dict[str, object] | None = None


@dataclass(slots=True, eq=False)
class _Write:
    """Messages that are stored together or not at all, in this order."""

    messages: Sequence[Message]
    done: asyncio.Future[int]
    deadline: float
    size: int = field(init=False)

    def __post_init__(self) -> None:
        self.size = sum(len(message.payload) for message in self.messages)


class Committer:
    """The only writer of a log within a process."""

    def __init__(self, connection: Connection, location: LogLocation = LogLocation()) -> None:
        self._connection = connection
        self._location = location
        self._waiting: deque[_Write] = deque()
        self._flights: set[asyncio.Task[None]] = set()
        self._acks: dict[bytes, asyncio.Future[_Ack]] = {}
        self._numbers = itertools.count(1)
        self._inbox = ""

    async def open(self) -> Committer:
        self._inbox = self._connection.new_inbox()
        await self._connection.subscribe_raw(f"{self._inbox}.*", self._on_ack)
        return self

    async def close(self) -> None:
        """Wait for what is under way; what still waits fails with LogUnavailable."""
        while self._waiting:
            self._waiting.popleft().done.set_exception(LogUnavailable("the event store is closing"))
        await asyncio.gather(*self._flights, return_exceptions=True)

    async def commit(self, messages: Sequence[Message], *, timeout: float = 15.0) -> int:
        """Store the messages atomically; the position of the last one.

        Raises WrongVersion (nothing stored), WriteTooLarge, or LogUnavailable after `timeout` seconds: then the
        write may or may not have landed, and sending the very same messages again settles it.
        """
        if len(messages) > MAX_BATCH:
            raise WriteTooLarge(f"{len(messages)} messages in one write; the limit is {MAX_BATCH}")
        limit = self._connection.max_payload
        oversize = [m.subject for m in messages if len(m.payload) > limit - 1024]
        if oversize:
            raise WriteTooLarge(f"over {limit - 1024} bytes: {', '.join(oversize)}")
        loop = asyncio.get_running_loop()
        write = _Write(messages, loop.create_future(), time.monotonic() + timeout)
        self._waiting.append(write)
        if len(self._flights) < _FLIGHTS:
            # Started at the end of this turn of the loop: callers that are ready now board together.
            loop.call_soon(self._depart)
        return await write.done

    def _depart(self) -> None:
        while self._waiting and len(self._flights) < _FLIGHTS:
            flight = asyncio.create_task(self._fly(self._board()))
            self._flights.add(flight)
            flight.add_done_callback(self._landed)

    def _landed(self, flight: asyncio.Task[None]) -> None:
        self._flights.discard(flight)
        self._depart()

    def _board(self) -> list[_Write]:
        """The next writes that fit one batch; a second write of one subject waits for the outcome of the first."""
        aboard: list[_Write] = []
        subjects: set[str] = set()
        count = size = 0
        while self._waiting:
            write = self._waiting[0]
            count += len(write.messages)
            size += write.size
            fresh = {message.subject for message in write.messages}
            if aboard and (count > MAX_BATCH or size > _MAX_BATCH_BYTES or not subjects.isdisjoint(fresh)):
                break
            subjects |= fresh
            aboard.append(self._waiting.popleft())
        return aboard

    async def _fly(self, writes: list[_Write]) -> None:
        try:
            singles = all(len(write.messages) == 1 for write in writes)
            if singles and len(writes) < _WORTH_A_BATCH:
                await asyncio.gather(*(self._alone(write) for write in writes))
            else:
                await self._together(writes)
        except BaseException as error:
            for write in writes:
                if not write.done.done():
                    write.done.set_exception(LogUnavailable(str(error) or type(error).__name__))
            if not isinstance(error, Exception):
                raise

    async def _alone(self, write: _Write) -> None:
        """One write by itself, sent again until its outcome is certain or its time is up."""
        pause = 0.02
        while True:
            ack = await self._send([write])
            if ack is not None and ack.error is None:
                return _settle(write, ack.seq)
            if ack is not None and _code(ack) in _TOO_LARGE:
                return _fail(write, WriteTooLarge(_text(ack)))
            if ack is not None and _code(ack) in _OUT_OF_SPACE:
                return _fail(write, LogUnavailable(_text(ack)))
            outcome = await self._stored(write)
            if outcome is not None:
                return _settle(write, outcome) if isinstance(outcome, int) else _fail(write, outcome)
            if time.monotonic() + pause > write.deadline:
                return _fail(write, LogUnavailable(_text(ack) if ack else "no acknowledgement from the log"))
            await asyncio.sleep(pause)
            pause = min(pause * 2, 1.0)

    async def _together(self, writes: list[_Write]) -> None:
        """One batch for all; when it is refused or in doubt, each write is settled on its own account."""
        ack = await self._send(writes)
        if ack is not None and ack.error is None:
            position = ack.seq
            for write in reversed(writes):
                _settle(write, position)
                position -= len(write.messages)
            return None
        if len(writes) == 1:
            return await self._alone(writes[0])
        outcomes = await asyncio.gather(*(self._stored(write) for write in writes))
        undecided: list[_Write] = []
        for write, outcome in zip(writes, outcomes, strict=True):
            if isinstance(outcome, int):
                _settle(write, outcome)
            elif outcome is not None:
                _fail(write, outcome)
            else:
                undecided.append(write)
        if len(undecided) == len(writes):
            # Nobody is known to be at fault: halves find whoever is.
            middle = len(writes) // 2
            await self._together(writes[:middle])
            await self._together(writes[middle:])
        elif undecided:
            await self._together(undecided)

    async def _send(self, writes: list[_Write]) -> _Ack | None:
        """Publish and wait for the acknowledgement; None when there is none in time."""
        number = next(self._numbers)
        reply = f"{self._inbox}.{number}"
        acknowledged: asyncio.Future[_Ack] = asyncio.get_running_loop().create_future()
        self._acks[reply.encode()] = acknowledged
        patience = max(0.05, min(5.0, max(write.deadline for write in writes) - time.monotonic()))
        try:
            await self._connection.write(self._frames(writes, number, reply))
            return await asyncio.wait_for(acknowledged, patience)
        except (TimeoutError, NatsError, OSError):
            return None
        finally:
            self._acks.pop(reply.encode(), None)

    def _frames(self, writes: list[_Write], number: int, reply: str) -> list[bytes]:
        messages = [message for write in writes for message in write.messages]
        if len(messages) == 1:
            return [publication(messages[0].subject, messages[0].payload, reply=reply)]
        head = f"NATS/1.0\r\nNats-Batch-Id: {self._inbox[-22:]}-{number}\r\nNats-Batch-Sequence: "
        frames = [
            publication(subject, payload, headers=f"{head}{place}\r\n\r\n".encode())
            for place, (subject, payload) in enumerate(messages[:-1], 1)
        ]
        last = f"{head}{len(messages)}\r\nNats-Batch-Commit: 1\r\n\r\n".encode()
        return [*frames, publication(*messages[-1], reply=reply, headers=last)]

    def _on_ack(self, subject: bytes, _reply: bytes, payload: bytes, headers: bytes) -> None:
        waiting = self._acks.get(subject)
        if waiting is None or waiting.done():
            return
        if status(headers) or not payload:  # 503: nobody serves the subject at this moment
            waiting.set_exception(TimeoutError())
            return
        waiting.set_result(msgspec.json.decode(payload, type=_Ack))

    async def _stored(self, write: _Write) -> int | WrongVersion | None:
        """What the leader holds: our last position, another writer's event, or nothing (yet)."""
        for place, message in enumerate(write.messages, 1):
            found = await self._last_on(message.subject)
            if found is None:
                continue
            position, payload = found
            if payload == message.payload:
                return position + len(write.messages) - place
            return WrongVersion(*_stream_and_version(message.subject))
        return None

    async def _last_on(self, subject: str) -> tuple[int, bytes] | None:
        try:
            answer = await ask(
                self._connection,
                f"STREAM.MSG.GET.{self._location.stream}",
                {"last_by_subj": subject},
                timeout=2.0,
            )
        except LogUnavailable:
            return None
        if error_code(answer):
            return None
        message = answer["message"]
        return message["seq"], base64.b64decode(message.get("data", ""))


def _stream_and_version(subject: str) -> tuple[str, int]:
    _, category, name, version = subject.split(".")
    return f"{category}/{name}", int(version)


def _settle(write: _Write, position: int) -> None:
    if not write.done.done():
        write.done.set_result(position)


def _fail(write: _Write, error: Exception) -> None:
    if not write.done.done():
        write.done.set_exception(error)


def _code(ack: _Ack) -> int:
    code = (ack.error or {}).get("err_code", 0)
    return code if isinstance(code, int) else 0


def _text(ack: _Ack) -> str:
    return str((ack.error or {}).get("description", "refused"))
