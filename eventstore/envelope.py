"""How an event stands in the log: a CloudEvents 1.0 document in JSON, chained to its predecessor.

The extension attributes are Sagacity's: `stream` (category/id), `streamversion`, `schemaversion`, `correlationid`,
`causationid`, `actor`, `tenant`, `traceparent` and `previoushash`, the SHA-256 of the bytes of the stream's
previous event. Nothing of an event is kept outside these bytes, so the chain covers all of it.
"""

from __future__ import annotations

import hashlib
import os
import time
from datetime import UTC, datetime
from typing import Final, NamedTuple

import msgspec

from eventstore.errors import HistoryBroken

SOURCE: Final = "/sagacity"
NO_HASH: Final = ""


class StreamId(NamedTuple):
    """One aggregate's stream: its category (`deployment`) and its id."""

    category: str
    id: str

    def __str__(self) -> str:
        return f"{self.category}/{self.id}"

    @classmethod
    def parse(cls, text: str) -> StreamId:
        category, _, name = text.partition("/")
        return cls(category, name)


class Context(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Who caused what follows, why, and within which conversation; `time` is the moment of the decision."""

    time: datetime
    actor: str
    correlation_id: str
    causation_id: str | None = None
    tenant: str | None = None
    traceparent: str | None = None


class Envelope(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """The stored form. Field names are those of CloudEvents. (No cycles here: nothing for the collector to look at.)"""

    specversion: str
    id: str
    source: str
    type: str
    time: datetime
    datacontenttype: str
    stream: str
    streamversion: int
    correlationid: str
    actor: str
    causationid: str | None = None
    tenant: str | None = None
    traceparent: str | None = None
    schemaversion: int = 1
    previoushash: str = NO_HASH
    data: msgspec.Raw


class Recorded(msgspec.Struct, frozen=True, gc=False):
    """An event as the log holds it: its position (from 1, without gaps), its document and the exact bytes."""

    position: int
    envelope: Envelope
    raw: bytes

    @property
    def stream(self) -> StreamId:
        return StreamId.parse(self.envelope.stream)

    @property
    def version(self) -> int:
        return self.envelope.streamversion

    @property
    def type(self) -> str:
        return self.envelope.type

    @property
    def time(self) -> datetime:
        return self.envelope.time

    @property
    def hash(self) -> str:
        return hash_of(self.raw)


_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(Envelope)


def encode(envelope: Envelope) -> bytes:
    return _encoder.encode(envelope)


def recorded(position: int, raw: bytes) -> Recorded:
    """Raises HistoryBroken when the bytes are no event document."""
    try:
        return Recorded(position, _decoder.decode(raw), raw)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise HistoryBroken(f"position {position} holds no event document: {error}") from error


def hash_of(raw: bytes) -> str:
    return hashlib.sha256(raw).hexdigest()


def new_id() -> str:
    """A UUID of version 7 (RFC 9562): ordered by time of creation, to the millisecond."""
    if not _entropy:
        block = os.urandom(1_280)
        _entropy.extend(block[start : start + 10] for start in range(0, 1_280, 10))
    random = _entropy.pop()
    text = f"{time.time_ns() // 1_000_000:012x}{random.hex()}"
    return f"{text[:8]}-{text[8:12]}-7{text[13:16]}-{'89ab'[random[2] >> 6]}{text[17:20]}-{text[20:]}"


_entropy: list[bytes] = []
"""Ten bytes an id, asked for many at a time; never shared with a forked process."""
os.register_at_fork(after_in_child=_entropy.clear)


def now() -> datetime:
    return datetime.now(UTC)
