"""Events of other systems: CloudEvents 1.0 on `in.<source>.<type>`, stored first, then handled.

An event whose type is a command is executed, once however often it is delivered; any other is put on the record, and
is a message where its source is one of ours (see `inbound_messages`). One that cannot be handled is parked with its
reason, to be listed and retried. None is lost.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import re
from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal

import msgspec
from faststream import AckPolicy
from faststream.nats import ConsumerConfig, JStream, NatsBroker, NatsMessage, PullSub
from nats.errors import Error as NatsError
from pydantic import AwareDatetime, BaseModel, BeforeValidator, ConfigDict, Field, JsonValue, ValidationError

from domain import inbound
from eventstore.catalogue import tag_of
from eventstore.connection import INBOX, Connection
from eventstore.envelope import recorded
from eventstore.errors import EventStoreError, LogUnavailable, WriteTooLarge
from eventstore.store import EventStore
from eventstore.subjects import category_filter
from handlers.command import Caller, CommandRequest, Directive, Fault, InvalidCommand
from handlers.command_handler import CommandHandler
from handlers.inbound_messages import InboundMessages
from handlers.inbound_stream import STREAM
from handlers.text import nul_faults, one_line

log = logging.getLogger(__name__)

RETRIED: Final = tag_of(inbound.Retried)
ATTEMPT: Final = "Sagacity-Attempt"
IDENTITY: Final = "Sagacity-Inbound"
"""On a retry: the stream of the event, whose original may have been changed by being kept as text."""

MAX_EVENT: Final = 1_000_000
"""Bytes. An event must fit one message of the log, together with its context."""

_REASON: Final = 4_000
_IDENTITY: Final = re.compile(r"[0-9a-f]{40}")
_COUNT: Final = re.compile(r"[1-9][0-9]{0,8}")
_KEPT: Final = 50_000
"""Characters kept of a parked original that the log cannot hold; all of it stays in the stream INBOUND."""

_TRACEPARENT: Final = re.compile(r"00-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}")
_UNSAFE: Final = re.compile(r"[^A-Za-z0-9_-]+")


def _as_text(value: Any) -> Any:
    """Attributes may be numbers and booleans too; their canonical form is text."""
    return str(value).lower() if isinstance(value, bool) else str(value) if isinstance(value, int) else value


_NO_CONTROLS: Final = r"^[^\x00-\x1f\x7f-\x9f]*$"
_Attribute = Annotated[str, Field(max_length=200, pattern=_NO_CONTROLS), BeforeValidator(_as_text)]


class CloudEvent(BaseModel):
    """CloudEvents 1.0, structured mode; extension attributes are kept, those that Sagacity reads are checked."""

    model_config = ConfigDict(extra="allow")

    specversion: Literal["1.0"]
    id: str = Field(min_length=1, max_length=300, pattern=_NO_CONTROLS)
    source: str = Field(min_length=1, max_length=500, pattern=_NO_CONTROLS)
    type: str = Field(min_length=1, max_length=200, pattern=_NO_CONTROLS)
    subject: str | None = Field(default=None, max_length=1_000, pattern=_NO_CONTROLS)
    time: AwareDatetime | None = None
    datacontenttype: str | None = None
    data: JsonValue = None
    actor: _Attribute | None = None
    correlationid: _Attribute | None = None
    tenant: _Attribute | None = None
    traceparent: JsonValue = None
    """Whatever is malformed counts as none, as W3C says."""


class InvalidCloudEvent(Exception):
    """The document is no CloudEvent; every fault at once."""

    def __init__(self, faults: list[Fault]) -> None:
        super().__init__("; ".join(f"{fault.where or '/'}: {fault.what}" for fault in faults))
        self.faults = tuple(faults)


def parse(raw: bytes) -> CloudEvent:
    """Raises InvalidCloudEvent. What passes is JSON that the log can hold: pydantic alone would let NaN through."""
    if len(raw) > MAX_EVENT:
        raise InvalidCloudEvent([Fault("", f"{len(raw)} bytes; at most {MAX_EVENT}")])
    try:
        msgspec.json.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidCloudEvent([Fault("", str(error))]) from error
    try:
        return CloudEvent.model_validate_json(raw)
    except ValidationError as error:
        raise InvalidCloudEvent(
            [Fault("".join(f"/{part}" for part in each["loc"]), each["msg"]) for each in error.errors()]
        ) from error


async def publish(connection: Connection, raw: bytes) -> str:
    """Store one event for handling; its subject. Raises InvalidCloudEvent, LogUnavailable."""
    event = parse(raw)
    subject = f"in.{_token(event.source)}.{_token(event.type)}"
    try:
        ack = await connection.request(subject, raw, timeout=5)
    except (NatsError, OSError) as error:
        raise LogUnavailable(f"the event was not stored: {error}") from error
    refusal = msgspec.json.decode(ack.data).get("error")
    if refusal:
        raise LogUnavailable(str(refusal.get("description")))
    return subject


class Inbox:
    """What is done with each event from outside."""

    def __init__(self, handler: CommandHandler, messages: InboundMessages | None = None) -> None:
        self._handler = handler
        self._messages = messages

    async def take(self, subject: str, raw: bytes, *, attempt: int = 1, identity: str | None = None) -> None:
        """Handle one stored event; it is on the record afterwards, whatever it is like. Raises LogUnavailable."""
        try:
            event = parse(raw)
        except InvalidCloudEvent as invalid:
            known = identity if attempt > 1 and identity and _IDENTITY.fullmatch(identity) else None
            return await self._park(known or _identity(subject, raw), attempt, subject, raw, str(invalid))
        identity = _identity(event.source, event.id)
        try:
            await self._handle(identity, event, attempt, raw)
        except LogUnavailable:
            raise
        except (InvalidCommand, EventStoreError) as error:
            await self._park(identity, attempt, subject, raw, str(error))
        except Exception as error:
            log.error("the event %s of %r is parked", event.id, event.source, exc_info=error)
            await self._park(identity, attempt, subject, raw, f"unexpected: {type(error).__name__}")

    async def _handle(self, identity: str, event: CloudEvent, attempt: int, raw: bytes) -> None:
        route = self._handler.routes.get(event.type)
        command = route is not None and not route.internal
        if command:
            await self._execute(identity, event)
        elif self._messages is not None:
            await self._messages.take(_token(event.source), raw, caller_of(event))
        if not command or attempt > 1:  # a retried event says in its own stream, too, that it is done
            received = inbound.Receive(event.source, event.id, event.type, msgspec.Raw(one_line(raw)))
            await self._record(identity, attempt, received, event.source)

    async def _execute(self, identity: str, event: CloudEvent) -> None:
        """Once, however often the event comes: its source and id are the command's id."""
        data = msgspec.json.encode(event.data if event.data is not None else {})
        faults = nul_faults(data)
        if faults:
            raise InvalidCommand(faults)
        request = CommandRequest(type=event.type, data=data, id=f"in-{identity}", stream_id=event.subject)
        await self._handler.handle(request, caller_of(event))

    async def _park(self, identity: str, attempt: int, subject: str, raw: bytes, reason: str) -> None:
        text = raw.decode(errors="replace")
        reason = reason[:_REASON].replace("\0", "�")
        try:
            await self._record(identity, attempt, inbound.Park(subject, text, reason), subject)
        except WriteTooLarge:
            reason = f"{reason}; only the first {_KEPT} characters are kept here, all of it in the stream {STREAM}"
            await self._record(identity, attempt, inbound.Park(subject, text[:_KEPT], reason), subject)

    async def _record(self, identity: str, attempt: int, command: inbound.Receive | inbound.Park, actor: str) -> None:
        directive = Directive(
            id=f"inbound-{identity}-{attempt}", category=inbound.inbound.category, stream_id=identity, command=command
        )
        await self._handler.direct([directive], Caller(actor=actor))


def caller_of(event: CloudEvent) -> Caller:
    """On whose behalf, and within which conversation and trace, the event came."""
    traceparent = event.traceparent
    return Caller(
        actor=event.actor or event.source,
        correlation_id=event.correlationid or None,
        causation_id=event.id,
        tenant=event.tenant or None,
        traceparent=traceparent if isinstance(traceparent, str) and _TRACEPARENT.fullmatch(traceparent) else None,
    )


def _attempt(headers: Mapping[str, str]) -> int:
    """Which try this is; a header that somebody else wrote counts as none."""
    text = headers.get(ATTEMPT, "")
    return int(text) if _COUNT.fullmatch(text) else 1


async def _as_it_came(message: NatsMessage) -> bytes:
    """Not FastStream's decoding: on JSON that is nested too deeply it fails before anybody could park it."""
    return message.body


async def run_inbound(nats_url: str, inbox: Inbox, store: EventStore) -> None:
    """Consume for ever. One message at a time, acknowledged when it is on the record."""
    broker = NatsBroker(
        nats_url.split(","), max_reconnect_attempts=-1, reconnect_time_wait=1, inbox_prefix=INBOX, logger=None
    )

    @broker.subscriber(
        "in.>",
        durable="inbound",
        stream=JStream(STREAM, declare=False),
        pull_sub=PullSub(batch_size=1, timeout=5.0),
        ack_policy=AckPolicy.MANUAL,
        decoder=_as_it_came,
        config=ConsumerConfig(ack_wait=30.0, max_deliver=-1),
    )
    async def consume(message: NatsMessage) -> None:
        raw = message.raw_message
        try:
            headers: Mapping[str, str] = raw.headers or {}
            await inbox.take(raw.subject, raw.data, attempt=_attempt(headers), identity=headers.get(IDENTITY))
        except (EventStoreError, NatsError, OSError) as error:
            log.warning("an event from outside waits: %s", error)
            await message.nack(delay=1)
        else:
            await message.ack()

    @broker.subscriber(
        category_filter(store.location, inbound.inbound.category),
        durable="inbound-retries",
        stream=JStream(store.location.stream, declare=False),
        pull_sub=PullSub(batch_size=1, timeout=5.0),
        ack_policy=AckPolicy.MANUAL,
        decoder=_as_it_came,
        config=ConsumerConfig(ack_wait=30.0, max_deliver=-1),
    )
    async def retry(message: NatsMessage) -> None:
        event = recorded(message.raw_message.metadata.sequence.stream, message.raw_message.data)
        try:
            if event.type == RETRIED:
                again: inbound.Retried = store.decode(event)
                headers = {ATTEMPT: str(again.attempt), IDENTITY: event.stream.id}
                await broker.publish(again.document.encode(), again.subject, headers=headers, stream=STREAM)
        except (EventStoreError, NatsError, OSError, TimeoutError) as error:
            log.warning("the retry of %s waits: %s", event.stream.id, error)
            await message.nack(delay=1)
        else:
            await message.ack()

    async with broker:
        await broker.start()
        await asyncio.Event().wait()


def _token(text: str) -> str:
    return _UNSAFE.sub("-", text).strip("-")[:100] or "-"


def _identity(*parts: str | bytes) -> str:
    """Source and id name an event for ever, in whatever characters they are written."""
    digest = hashlib.sha256()
    for part in parts:
        digest.update(part.encode() if isinstance(part, str) else part)
        digest.update(b"\0")
    return digest.hexdigest()[:40]
