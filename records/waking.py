"""What wakes records: events of a durable consumer, each in the hands of one process until it is acknowledged.

On the raw lane: every stage of a record is delivered here as well, and is worth no more than a look at its type.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections import deque
from collections.abc import AsyncGenerator, Collection, Sequence
from typing import Any, Final, NamedTuple

from nats.errors import Error as NatsError

from eventstore.connection import Connection, publication, status
from eventstore.envelope import Recorded, recorded
from eventstore.errors import LogUnavailable
from eventstore.streams import LogLocation, ask, error_code
from eventstore.subjects import category_filter

_BATCH: Final = 200
_EXPIRES: Final = 5.0
"""Seconds until a request that found too little is asked again."""

_GLANCE: Final = 0.5
_OVER: Final = frozenset({404, 408})
_ACK: Final = b"+ACK"
_END: Final = b"\r\n"


class Wake(NamedTuple):
    """An event, and where its delivery is answered."""

    event: Recorded
    reply: bytes


class Waking:
    """The consumer `durable` of a category. Whoever reads it shares its events with all others who do."""

    def __init__(self, connection: Connection, location: LogLocation, durable: str, category: str) -> None:
        self._connection = connection
        self._location = location
        self._durable = durable
        self._category = category
        self._open: set[bytes] = set()
        """Where deliveries are answered that are here and were not answered yet."""

    async def create(self, *, ack_wait: float, most_pending: int) -> None:
        """What is not acknowledged after `ack_wait` seconds is delivered again. Raises LogUnavailable."""
        config: dict[str, Any] = {
            "durable_name": self._durable,
            "name": self._durable,
            "filter_subjects": [category_filter(self._location, self._category)],
            "deliver_policy": "all",
            "ack_policy": "explicit",
            "ack_wait": int(ack_wait * 1e9),
            "max_ack_pending": most_pending,
            "max_deliver": -1,
        }
        request = {"stream_name": self._location.stream, "config": config}
        answer = await ask(self._connection, f"CONSUMER.CREATE.{self._location.stream}.{self._durable}", request)
        if error_code(answer):
            raise LogUnavailable(answer["error"]["description"])

    async def wakes(self, types: Collection[str]) -> AsyncGenerator[Wake]:
        """For ever; events of other types are acknowledged at once. Raises LogUnavailable when the server says that
        the consumer cannot be read (any more), ConnectionError while it is away."""
        self._open.clear()
        inbox, waiting, news = self._connection.new_inbox(), deque[tuple[bytes, bytes, bytes]](), asyncio.Event()

        def deliver(_subject: bytes, reply: bytes, payload: bytes, headers: bytes) -> None:
            waiting.append((reply, payload, headers))
            news.set()
            if reply:
                self._open.add(reply)

        subscription = await self._connection.subscribe_raw(inbox, deliver)
        try:
            while True:
                wanted = await self._request(inbox)
                asked_at, lives = time.monotonic(), self._connection.lives
                while wanted > 0:
                    if not waiting and not await _heard(news):
                        if time.monotonic() - asked_at > _EXPIRES + 1 or self._connection.lives != lives:
                            break
                        continue
                    found, over = self._taken(waiting, types)
                    wanted = 0 if over else wanted - len(found)
                    await self._answer([reply for reply, event in found if event is None], _ACK)
                    for reply, event in found:
                        if event is not None:
                            yield Wake(event, reply)
        finally:
            await self._connection.unsubscribe_raw(subscription)

    async def acknowledge(self, wake: Wake) -> None:
        await self._answer([wake.reply], _ACK)

    async def again(self, wake: Wake, seconds: float) -> None:
        """Deliver it again after so long."""
        await self._answer([wake.reply], f'-NAK {{"delay": {int(seconds * 1e9)}}}'.encode())

    def leave(self, wake: Wake) -> None:
        """It is delivered again when its time is over."""
        self._open.discard(wake.reply)

    async def hold(self) -> None:
        """All that is here begins its time anew: it is in work, or waits for its turn."""
        await self._say(list(self._open), b"+WPI")

    async def _answer(self, replies: Sequence[bytes], what: bytes) -> None:
        self._open.difference_update(replies)
        await self._say(replies, what)

    async def _say(self, replies: Sequence[bytes], what: bytes) -> None:
        if replies:
            with contextlib.suppress(NatsError, OSError):  # then it is delivered again
                await self._connection.write([publication(reply.decode(), what) for reply in replies])

    async def _request(self, inbox: str) -> int:
        request = json.dumps({"batch": _BATCH, "expires": int(_EXPIRES * 1e9)}).encode()
        subject = f"$JS.API.CONSUMER.MSG.NEXT.{self._location.stream}.{self._durable}"
        await self._connection.write([publication(subject, request, reply=inbox)])
        return _BATCH

    def _taken(
        self, waiting: deque[tuple[bytes, bytes, bytes]], types: Collection[str]
    ) -> tuple[list[tuple[bytes, Recorded | None]], bool]:
        """All that has come, None for what wakes nothing; whether the request is over. Raises LogUnavailable."""
        found: list[tuple[bytes, Recorded | None]] = []
        over = False
        while waiting:
            reply, payload, headers = waiting.popleft()
            code = status(headers) if headers else 0
            if code in _OVER:
                over = True
            elif code:
                raise LogUnavailable(f"{self._location.stream}: {headers.partition(_END)[0].decode()}")
            else:
                # $JS.ACK.<stream>.<consumer>.<delivered>.<position>.<sequence of this consumer>.<time>.<pending>
                event = recorded(int(reply.rsplit(b".", 5)[-4]), payload)
                found.append((reply, event if event.type in types else None))
        return found, over


async def _heard(news: asyncio.Event) -> bool:
    news.clear()
    try:
        async with asyncio.timeout(_GLANCE):
            await news.wait()
    except TimeoutError:
        return False
    return True
