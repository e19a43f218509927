"""Group commit: waiting appends share one atomic batch, so that one fsync carries many.

A conflict costs only the write that caused it; an ambiguous outcome (timeout, leader change) is settled by reading
the subject and comparing bytes, never by guessing. Writes are decided one by one: nothing is promised about the
order of two writes that wait at the same time. See docs/guarantees.md.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from eventstore.connection import Connection
from eventstore.errors import LogFull, LogUnavailable, WriteTooLarge, WrongVersion
from eventstore.outcomes import look_up
from eventstore.publisher import Message, Publisher
from eventstore.reader import Reader
from eventstore.streams import LogLocation

MAX_BATCH: Final = 1000
"""Messages in one atomic batch: the server's limit."""

MAX_WRITE_BYTES: Final = 32 * 1024 * 1024
"""Bytes of all messages of one write: the server holds a whole batch back until its last message is there."""

MAX_OPEN: Final = 20_000
MAX_OPEN_BYTES: Final = 256 * 1024 * 1024
"""Writes, and bytes of them, that may wait for their outcome at once; further ones are refused at once."""

_MAX_BATCH_BYTES: Final = 8 * 1024 * 1024
_FLIGHTS: Final = 2
"""Batches under way at once: while the server syncs one, the next is collected and encoded."""

_WORTH_A_BATCH: Final = 10
"""A batch costs about as much as this many pipelined single publishes (benchmarks/append.py)."""

_CLOCK: Final = 0.1
"""Seconds between two looks at whose time is up: a timer for each write would cost more than encoding it."""

_PAUSE: Final = 0.02
_LONGEST_PAUSE: Final = 1.0

_TOO_LARGE: Final = frozenset({10054, 10199})
_OUT_OF_SPACE: Final = frozenset({10002, 10023, 10028, 10047})
_PASSING: Final = frozenset({10008, 10009, 10164, 10210})
"""Refusals that blame no message: no leader, a competitor in flight, too many batches under way."""


@dataclass(slots=True, eq=False)
class _Write:
    """Messages that are stored together or not at all, in this order."""

    messages: Sequence[Message]
    done: asyncio.Future[int]
    timeout: float
    deadline: float
    size: int
    followers: list[_Write] = field(default_factory=list["_Write"])
    """Later writes that want one of the same subjects: they wait for the outcome of this one."""

    refusal: str = ""
    """What the log said last, where it did not say yes."""


class Committer:
    """The only writer of a log within a process."""

    def __init__(self, connection: Connection, location: LogLocation = LogLocation()) -> None:
        self._connection = connection
        self._publisher = Publisher(connection)
        self._reader = Reader(connection, location)
        self._waiting: deque[_Write] = deque()
        self._flights: set[asyncio.Task[None]] = set()
        self._claims: dict[str, _Write] = {}
        """The write under way for a subject."""
        self._open: set[_Write] = set()
        self._open_bytes = 0
        self._clock: asyncio.TimerHandle | None = None
        self._departing = False
        self._closed = False
        self.full: str | None = None
        """Why no write is taken at the moment, if so (see `take_no_more`)."""

    async def open(self) -> Committer:
        await self._publisher.open()
        await self._reader.open()
        return self

    async def close(self) -> None:
        """Wait for what is under way; what still waits fails with LogUnavailable, as does every later write."""
        self._closed = True
        closing = LogUnavailable("the event store is closing")
        while self._flights:
            self._refuse_waiting(closing)
            await asyncio.wait(self._flights)
        self._refuse_waiting(closing)
        await self._publisher.close()
        await self._reader.close()

    @property
    def under_way(self) -> int:
        """Writes whose outcome is not known yet."""
        return len(self._open)

    async def commit(self, messages: Sequence[Message], *, timeout: float = 15.0) -> int:
        """Store the messages atomically; the position of the last one.

        Raises WrongVersion (nothing stored), WriteTooLarge (the same), or LogUnavailable after `timeout` seconds:
        then the write may or may not have landed, and sending the very same messages again settles it.
        LogUnavailable is raised at once, with nothing sent, while too many writes wait. Raises ValueError for
        no messages or two for one subject.
        """
        size = self._checked_size(messages)
        loop = asyncio.get_running_loop()
        write = _Write(messages, loop.create_future(), timeout, time.monotonic() + timeout, size)
        self._open.add(write)
        self._open_bytes += size
        self._waiting.append(write)
        if self._clock is None:
            self._clock = loop.call_later(min(_CLOCK, timeout), self._tick)
        if len(self._flights) < _FLIGHTS and not self._departing:
            # Started at the end of this turn of the loop: callers that are ready now board together.
            self._departing = True
            loop.call_soon(self._depart)
        try:
            return await write.done
        finally:
            self._open.remove(write)
            self._open_bytes -= size

    def _tick(self) -> None:
        """Give up the writes whose time is up; goes on for as long as any is open."""
        now = time.monotonic()
        for write in self._open:
            if write.deadline <= now:
                _give_up(write)
        loop = asyncio.get_running_loop()
        self._clock = loop.call_later(_CLOCK, self._tick) if self._open else None

    def _checked_size(self, messages: Sequence[Message]) -> int:
        if len(messages) > MAX_BATCH:
            raise WriteTooLarge(f"{len(messages)} messages in one write; the limit is {MAX_BATCH}")
        if not messages or (len(messages) > 1 and len({m.subject for m in messages}) < len(messages)):
            raise ValueError("a write has at least one message, and at most one for each subject")
        limit = self._connection.max_payload - 1024
        sizes = [len(message.payload) for message in messages]
        if max(sizes) > limit:
            oversize = (m.subject for m in messages if len(m.payload) > limit)
            raise WriteTooLarge(f"over {limit} bytes: {', '.join(oversize)}")
        size = sum(sizes)
        if size > MAX_WRITE_BYTES:
            raise WriteTooLarge(f"{size} bytes in one write; the limit is {MAX_WRITE_BYTES}")
        if self._closed:
            raise LogUnavailable("the event store is closed")
        if self.full is not None:
            raise LogFull(self.full)
        if len(self._open) >= MAX_OPEN or self._open_bytes + size > MAX_OPEN_BYTES:
            raise LogUnavailable(f"{len(self._open)} writes are waiting for the log already")
        return size

    def take_no_more(self, reason: str | None) -> None:
        """Refuse every write that is not under way with LogFull, until told otherwise (None)."""
        self.full = reason
        if reason is not None:
            self._refuse_waiting(LogFull(reason))

    def _refuse_waiting(self, error: LogUnavailable) -> None:
        while self._waiting:
            _fail(self._waiting.popleft(), error)

    def _depart(self) -> None:
        self._departing = False
        while self._waiting and len(self._flights) < _FLIGHTS and not self._closed:
            aboard = self._board()
            if aboard:
                flight = asyncio.create_task(self._fly(aboard))
                self._flights.add(flight)
                flight.add_done_callback(self._landed)

    def _landed(self, flight: asyncio.Task[None]) -> None:
        self._flights.discard(flight)
        self._depart()

    def _board(self) -> list[_Write]:
        """The next writes that fit one batch, without those whose callers have gone."""
        aboard: list[_Write] = []
        count = size = 0
        while self._waiting:
            write = self._waiting.popleft()
            if write.done.done():
                continue
            rival = self._rival_of(write)
            if rival is not None:
                rival.followers.append(write)
                continue
            count += len(write.messages)
            size += write.size
            if aboard and (count > MAX_BATCH or size > _MAX_BATCH_BYTES):
                self._waiting.appendleft(write)
                break
            for message in write.messages:
                self._claims[message.subject] = write
            aboard.append(write)
        return aboard

    def _rival_of(self, write: _Write) -> _Write | None:
        for message in write.messages:
            rival = self._claims.get(message.subject)
            if rival is not None:
                return rival
        return None

    async def _fly(self, writes: list[_Write]) -> None:
        try:
            if len(writes) < _WORTH_A_BATCH and all(len(write.messages) == 1 for write in writes):
                await asyncio.gather(*(self._settle([write]) for write in writes))
            else:
                await self._settle(writes)
        except BaseException as error:
            for write in writes:
                _fail(write, LogUnavailable(str(error) or type(error).__name__))
            if not isinstance(error, Exception):
                raise
        finally:
            for write in writes:
                self._release(write)

    async def _settle(self, writes: list[_Write]) -> None:
        """Send the writes as one until the outcome of each is certain or its time is up."""
        pause, refusals = _PAUSE, 0
        while writes := [write for write in writes if not write.done.done()]:
            patience = max(write.deadline for write in writes) - time.monotonic()
            ack = await self._publisher.publish([m for write in writes for m in write.messages], patience)
            if ack is not None and ack.stored:
                return self._succeed_in_order(writes, ack.seq)
            if ack is not None and ack.code in _OUT_OF_SPACE:
                return await self._without_room(writes, f"the log has no room left ({ack.text})")
            if ack is not None and ack.code in _TOO_LARGE and len(writes) == 1:
                return _fail(writes[0], WriteTooLarge(ack.text))
            if await self._decide(writes):
                continue
            if ack is not None:
                refusals += ack.code not in _PASSING
                for write in writes:
                    write.refusal = ack.text
            if len(writes) > 1 and refusals > 1:
                # Refused, and nobody is known to be at fault: halves find whoever is.
                middle = len(writes) // 2
                await asyncio.gather(self._settle(writes[:middle]), self._settle(writes[middle:]))
                return
            await asyncio.sleep(pause)
            pause = min(pause * 2, _LONGEST_PAUSE)

    def _succeed_in_order(self, writes: list[_Write], last: int) -> None:
        position = last
        for write in reversed(writes):
            self._succeed(write, position)
            position -= len(write.messages)

    async def _without_room(self, writes: list[_Write], reason: str) -> None:
        """The server looks for room message by message, also within a batch (docs/decisions/0017): a write of which
        it holds anything is ambiguous, of all others nothing is stored."""
        found = await self._reader.holders([message.subject for write in writes for message in write.messages])
        for write in writes:
            if any(message.subject in found for message in write.messages):
                _fail(write, LogUnavailable(f"{reason}; a part of the write may be stored"))
            else:
                _fail(write, LogFull(reason))

    async def _decide(self, writes: list[_Write]) -> bool:
        """Settle every write of which the log holds proof, one way or the other; whether there was any."""
        outcomes = await look_up(self._reader, [write.messages for write in writes])
        for write, outcome in zip(writes, outcomes, strict=True):
            if isinstance(outcome, WrongVersion):
                _fail(write, outcome)
                self._release(write)
            elif outcome is not None:
                self._succeed(write, outcome)
        return any(outcome is not None for outcome in outcomes)

    def _succeed(self, write: _Write, position: int) -> None:
        """What this write stored, no other one can: its followers need not ask the log."""
        if not write.done.done():
            write.done.set_result(position)
        if write.followers:
            stored = {message.subject for message in write.messages}
            for follower in write.followers:
                if list(follower.messages) == list(write.messages) and not follower.done.done():
                    follower.done.set_result(position)
                _fail(follower, next(WrongVersion.of(m.subject) for m in follower.messages if m.subject in stored))
            write.followers.clear()
        self._release(write)

    def _release(self, write: _Write) -> None:
        """Give its subjects free; who waited for one of them boards next."""
        for message in write.messages:
            if self._claims.get(message.subject) is write:
                del self._claims[message.subject]
        if write.followers:
            self._waiting.extendleft(reversed(write.followers))
            write.followers.clear()


def _give_up(write: _Write) -> None:
    reason = f"; the log said: {write.refusal}" if write.refusal else ""
    _fail(write, LogUnavailable(f"no certain outcome within {write.timeout:g} s{reason}"))


def _fail(write: _Write, error: Exception) -> None:
    if not write.done.done():
        write.done.set_exception(error)


__all__ = ["MAX_BATCH", "MAX_OPEN", "MAX_WRITE_BYTES", "Committer", "Message"]
