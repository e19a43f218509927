"""How a `StoredEvent` of the library stands in our log, and back. Pure.

The stream version is the *ordinal* (1, 2, 3 … in the order of recording), so that the log's hash chain and its rule
of no gaps hold; the library's `originator_version` (which may start at 0 or 1, skip numbers, and come out of order
for snapshots) stands in the data. A state that is JSON is embedded as it is, any other (encrypted, compressed) as
base64. Originator ids are the stream's id; what does not fit one subject token is quoted reversibly.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final, NamedTuple
from urllib.parse import unquote
from uuid import UUID

import msgspec
from eventsourcing.persistence import DataError, Notification, StoredEvent, Tracking

from eventstore.envelope import NO_HASH, Envelope, Recorded, StreamId, encode, hash_of, new_id, now
from eventstore.subjects import is_valid_id

AGGREGATE: Final = "aggregate"
TRACKING: Final = "tracking"
_TRACKING_TYPE: Final = "eventsourcing.tracking"
_QUOTED: Final = "q--"


class Head(NamedTuple):
    """The end of a stream: its last ordinal, that event's hash, and the highest originator version recorded in it."""

    ordinal: int
    hash: str
    highest: int


NO_STREAM: Final = Head(0, NO_HASH, -1)


class _Data(msgspec.Struct, omit_defaults=True):
    originator_version: int
    highest_version: int | None = None
    """Only where a higher originator version was recorded earlier."""
    originator_is_text: bool = False
    """Only where the id is a string that looks like a UUID."""
    state: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    state_base64: bytes | msgspec.UnsetType = msgspec.UNSET


_decoder = msgspec.json.Decoder(_Data)
_encoder = msgspec.json.Encoder()


def token_of(text: str) -> str:
    """One safe subject token. Raises DataError for what stays longer than 128 characters or is no valid text."""
    if is_valid_id(text) and not text.startswith(_QUOTED):
        return text
    try:
        token = _QUOTED + re.sub(r"[^A-Za-z0-9-]", lambda m: "".join(f"_{b:02X}" for b in m[0].encode()), text)
    except UnicodeEncodeError as error:
        raise DataError(f"{text!r} is no valid text") from error
    if not is_valid_id(token):
        raise DataError(f"an id may take 128 characters (three for each special one), not {len(token)}: {text[:60]!r}…")
    return token


def text_of(token: str) -> str:
    return unquote(token[len(_QUOTED) :].replace("_", "%")) if token.startswith(_QUOTED) else token


def aggregate_stream(originator_id: UUID | str) -> StreamId:
    return StreamId(AGGREGATE, token_of(str(originator_id)))


def tracking_stream(application_name: str) -> StreamId:
    return StreamId(TRACKING, token_of(application_name))


class Batch:
    """The documents of one write, chained to each other and to the heads of the streams they extend."""

    def __init__(self, application: str, heads: dict[StreamId, Head], tracking: Tracking | None = None) -> None:
        self.heads = heads
        """The heads as they will be when the write is stored."""
        self.documents: list[tuple[StreamId, int, bytes]] = []
        """(stream, ordinal, bytes) in the order of recording."""
        self._application = application
        self._correlation = new_id()
        self._cause = f"{tracking.application_name}/{tracking.notification_id}" if tracking else None

    @property
    def ordinals(self) -> list[int]:
        return [ordinal for _, ordinal, _ in self.documents]

    def add_event(self, stream: StreamId, event: StoredEvent) -> None:
        data = _Data(event.originator_version)
        if self.heads[stream].highest > event.originator_version:
            data.highest_version = self.heads[stream].highest
        data.originator_is_text = isinstance(event.originator_id, str) and _is_uuid(event.originator_id)
        if _is_compact_json(event.state):
            data.state = msgspec.Raw(event.state)
        else:
            data.state_base64 = event.state
        self._add(stream, event.topic, data)

    def add_tracking(self, stream: StreamId, tracking: Tracking) -> None:
        self._add(stream, _TRACKING_TYPE, _Data(tracking.notification_id))

    def _add(self, stream: StreamId, topic: str, data: _Data) -> None:
        head = self.heads[stream]
        raw = encode(
            Envelope(
                specversion="1.0",
                id=new_id(),
                source=f"/eventsourcing/{self._application}",
                type=topic,
                time=now(),
                datacontenttype="application/json",
                stream=str(stream),
                streamversion=head.ordinal + 1,
                correlationid=self._correlation,
                causationid=self._cause,
                actor=self._application,
                previoushash=head.hash,
                data=msgspec.Raw(_encoder.encode(data)),
            )
        )
        self.heads[stream] = Head(head.ordinal + 1, hash_of(raw), max(head.highest, data.originator_version))
        self.documents.append((stream, head.ordinal + 1, raw))


def head_after(event: Recorded) -> Head:
    data = _decoder.decode(event.envelope.data)
    highest = data.originator_version if data.highest_version is None else data.highest_version
    return Head(event.version, event.hash, highest)


def originator_version(event: Recorded) -> int:
    """The library's version of the event; the notification id where it is a tracking record."""
    return _decoder.decode(event.envelope.data).originator_version


def stored_event(event: Recorded) -> StoredEvent:
    return StoredEvent(*_fields(event))


def notifications(events: Sequence[Recorded], topics: Sequence[str]) -> list[Notification]:
    """The aggregate events among them, as the library's notifications, of these topics (of all when empty)."""
    return [
        Notification(*_fields(event), id=event.position)
        for event in events
        if event.stream.category == AGGREGATE and (not topics or event.type in topics)
    ]


def _fields(event: Recorded) -> tuple[UUID | str, int, str, bytes]:
    data = _decoder.decode(event.envelope.data)
    text = text_of(event.stream.id)
    originator_id = UUID(text) if not data.originator_is_text and _is_uuid(text) else text
    state = data.state_base64 if isinstance(data.state_base64, bytes) else bytes(data.state or b"")
    return originator_id, data.originator_version, event.type, state


def _is_uuid(text: str) -> bool:
    """In the canonical form, the one `str(UUID)` gives: only that can be told back from the text alone."""
    try:
        return str(UUID(text)) == text
    except ValueError:
        return False


def _is_compact_json(state: bytes) -> bool:
    """Whether the bytes can stand in a JSON document and come out again unchanged."""
    try:
        msgspec.json.decode(state)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return False
    return state == state.strip()
