"""The connection to NATS: nats-py, with a fast lane for the two hot paths.

nats-py parses headers and builds a message object for every frame (about 25 µs); loading a stream and following
the log need neither. `Connection` keeps everything else of nats-py (reconnects, TLS, authentication, JetStream
administration) and adds a *raw lane*: frames written as bytes, deliveries handed over as bytes.
See docs/decisions/0014-raw-lane-on-nats-py.md.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import re
import time
from collections import deque
from collections.abc import Callable
from typing import Any, Final

from nats.aio.client import Client, Srv
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription
from nats.errors import Error as NatsError
from nats.errors import ProtocolError
from nats.protocol.parser import Parser

from eventstore.errors import LogUnavailable

RawDelivery = Callable[[bytes, bytes, bytes, bytes], None]
"""Receives (subject, reply, payload, header block); must not block. The header block is empty without headers."""

INBOX: Final = "_SAGACITY"
"""Where answers to us come: apart from those of other clients, who could listen to each other's."""

_CRLF = b"\r\n"
_log = logging.getLogger(__name__)

_GLANCE: Final = 0.2
"""Seconds between two looks at whether the connection that an answer must come through is still the same."""


class _FastParser(Parser):
    """Cuts MSG and HMSG frames by position; leaves every rare frame (INFO, PING, -ERR …) to nats-py."""

    _resets = 0

    def __init__(self, connection: Connection) -> None:
        super().__init__(connection)  # pyright: ignore[reportUnknownMemberType] - nats-py types it half
        self._deliver = connection._process_msg  # pyright: ignore[reportPrivateUsage] - the parser is its other half
        self._rest = b""

    def reset(self) -> None:
        super().reset()
        self._rest = b""
        self._resets += 1

    async def parse(self, data: bytes = b"") -> None:
        buffer = self._rest + data if self._rest else data
        position, size = 0, len(buffer)
        while position < size:
            line_end = buffer.find(_CRLF, position)
            if line_end < 0:
                break
            if buffer.startswith((b"MSG ", b"HMSG "), position):
                frame_end = await self._message(buffer, position, line_end)
                if frame_end < 0:
                    break
                position = frame_end
            else:
                rare = buffer[position : line_end + 2]
                position = line_end + 2
                self._rest = b""
                resets = self._resets
                await super().parse(rare)
                if self._resets != resets:  # an -ERR ended this connection: what is left belongs to the old one
                    return
        self._rest = buffer[position:]

    async def _message(self, buffer: bytes, start: int, line_end: int) -> int:
        words = buffer[start:line_end].split()
        if not words[-1].isdigit():
            raise ProtocolError
        total = int(words[-1])
        body_start = line_end + 2
        body_end = body_start + total
        if body_end + 2 > len(buffer):
            return -1
        has_headers = buffer[start] == 0x48  # H
        header_size = int(words[-2]) if has_headers else 0
        reply = words[3] if len(words) == (6 if has_headers else 5) else b""
        await self._deliver(
            int(words[2]),
            words[1],
            reply,
            buffer[body_start + header_size : body_end],
            buffer[body_start : body_start + header_size],
        )
        return body_end + 2


class Connection(Client):
    """A nats-py client with a raw lane. Open one with `connect_to`."""

    def __init__(self) -> None:
        super().__init__()
        self._raw: dict[int, RawDelivery] = {}
        self._ps = _FastParser(self)

    async def subscribe_raw(self, subject: str, deliver: RawDelivery) -> Subscription:
        """Subscribe without parsing; survives reconnects. Unsubscribe through the returned subscription."""
        subscription = await self.subscribe(subject, cb=_never)  # pyright: ignore[reportUnknownMemberType]
        self._raw[_sid(subscription)] = deliver
        return subscription

    async def unsubscribe_raw(self, subscription: Subscription) -> None:
        """Ends the deliveries at once; never fails, whatever the state of the connection."""
        self._raw.pop(_sid(subscription), None)
        with contextlib.suppress(NatsError, OSError):
            await subscription.unsubscribe()

    async def write(self, frames: list[bytes]) -> None:
        """Queue ready-made protocol frames and kick the flusher; one call for a whole batch.

        Raises ConnectionError while the server is away: nothing has been sent then.
        """
        if not self.is_connected:
            raise ConnectionError("not connected to NATS")
        self._pending.extend(frames)
        self._pending_data_size += sum(map(len, frames))
        await self._flush_pending()

    @property
    def lives(self) -> int:
        """How often this client has reconnected: an answer asked for in an earlier life will never come."""
        return self.stats["reconnects"]

    async def answered(self, answer: asyncio.Future[Any], patience: float) -> bool:
        """Wait for an answer that arrives on the raw lane.

        False after `patience` seconds, or at once (within 0.2 s) when the connection it was asked on is gone.
        """
        asked_in, deadline = self.lives, time.monotonic() + patience
        while not answer.done():
            left = deadline - time.monotonic()
            if left <= 0 or not self.is_connected or self.lives != asked_in:
                return False
            await asyncio.wait((answer,), timeout=min(left, _GLANCE))
        return True

    async def _process_err(self, err_msg: str) -> None:
        """nats-py closes for good on every error but two; a log that comes back must find its clients again."""
        text = err_msg.lower()
        if self.is_connecting or any(word in text for word in ("permissions", "authorization", "authentication")):
            return await super()._process_err(err_msg)
        await self._process_op_err(NatsError(f"nats: {err_msg}"))  # pyright: ignore[reportUnknownMemberType]

    async def _process_msg(self, sid: int, subject: bytes, reply: bytes, data: bytes, headers: bytes) -> None:
        deliver = self._raw.get(sid)
        if deliver is None:
            return await super()._process_msg(sid, subject, reply, data, headers)
        try:
            deliver(subject, reply, data, headers)
        except Exception:
            # What one message does must not end the reading of all others.
            _log.exception("a message on %s was dropped", subject)

    async def _connect_to_server(self, s: Srv) -> None:
        """Nothing comes of it once it was closed: nats-py's task that reconnects is cancelled then, but a cancellation
        that meets the end of an attempt is lost (python/cpython#86296), and it would go on for ever."""
        try:
            await super()._connect_to_server(s)
        finally:
            if self.is_closed:
                if self._transport is not None:
                    self._transport.close()
                raise asyncio.CancelledError

    async def _read_loop(self) -> None:
        """Every connection begins with an empty parser: nats-py resets it when the old one fails, but the old read
        loop may still put the beginning of a frame in afterwards, and the new one would go on from there."""
        self._ps.reset()
        await super()._read_loop()


async def connect_to(
    url: str, *, name: str = "sagacity", patience: float = 10.0, waits: bool = True, **options: Any
) -> Connection:
    """Connect to one URL or a comma-separated list; keep reconnecting for ever once connected.

    Raises LogUnavailable when the first connection cannot be made within `patience` seconds; unless it `waits` for
    servers that are not there yet, as soon as each has refused twice.
    """
    connection = Connection()
    refusals: deque[Exception] = deque(maxlen=1)

    async def remember(error: Exception) -> None:
        """Reconnects are nats-py's daily business; calls that fail say so themselves."""
        refusals.append(error)

    settings: dict[str, Any] = {
        "max_reconnect_attempts": -1 if waits else 1,
        "reconnect_time_wait": 0.2,
        "connect_timeout": 5,
        "ping_interval": 10,
        "max_outstanding_pings": 2,
        "error_cb": remember,
        "inbox_prefix": INBOX,
    }
    try:
        async with asyncio.timeout(patience):
            await connection.connect(servers=url.split(","), name=name, **(settings | options))
        connection.options["max_reconnect_attempts"] = -1
    except (NatsError, OSError) as error:
        where = re.sub(r"//[^@/,]*@", "//", url)  # without credentials
        reason = str(refusals.pop() if refusals else error) or f"no answer within {patience:g} s"
        with contextlib.suppress(NatsError, OSError):
            await connection.close()
        raise LogUnavailable(f"no connection to NATS at {where}: {reason}") from error
    return connection


def publication(subject: str, payload: bytes, *, reply: str = "", headers: bytes = b"") -> bytes:
    """One PUB or HPUB frame. `headers` is a complete block (`NATS/1.0 … CRLF CRLF`) or empty."""
    if headers:
        line = f"HPUB {subject} {reply} {len(headers)} {len(headers) + len(payload)}\r\n"
    else:
        line = f"PUB {subject} {reply} {len(payload)}\r\n"
    return b"".join((line.encode(), headers, payload, _CRLF))


def header_value(headers: bytes, name: bytes) -> bytes:
    """The value of a header in a raw block; empty when it is not there."""
    start = headers.find(b"\r\n" + name + b": ")
    if start < 0:
        return b""
    start += len(name) + 4
    return headers[start : headers.find(_CRLF, start)]


def status(headers: bytes) -> int:
    """The status of an inline status message (`NATS/1.0 404 …`); 0 for an ordinary message."""
    inline = headers[8:12].strip()
    return int(inline) if inline.isdigit() else 0


def _sid(subscription: Subscription) -> int:
    return subscription._id  # pyright: ignore[reportPrivateUsage] - the number on the wire, not public in 2.16


async def _never(_: Msg) -> None:  # pragma: no cover - raw deliveries never reach nats-py's callback
    raise AssertionError("raw lane bypassed")


__all__ = [
    "INBOX",
    "Connection",
    "RawDelivery",
    "connect_to",
    "header_value",
    "publication",
    "status",
]
