"""Events of other systems: CloudEvents 1.0 on `in.<source>.<type>`, stored first, then handled.

An event whose type is a command is executed, once however often it is delivered; any other is put on the record. One
that cannot be handled is parked with its reason, to be listed and retried. None is lost.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import re
from typing import Any, Final, Literal

import msgspec
from faststream import AckPolicy
from faststream.nats import ConsumerConfig, JStream, NatsBroker, NatsMessage, PullSub
from nats.errors import Error as NatsError
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, JsonValue, ValidationError

from domain import inbound
from eventstore.catalogue import tag_of
from eventstore.connection import Connection
from eventstore.envelope import recorded
from eventstore.errors import EventStoreError, LogUnavailable
from eventstore.streams import EVENTS, ask, error_code
from handlers.command import Caller, CommandRequest, Directive, Fault, InvalidCommand
from handlers.command_handler import CommandHandler

log = logging.getLogger(__name__)

STREAM: Final = "INBOUND"
RETRIED: Final = tag_of(inbound.Retried)
ATTEMPT: Final = "Sagacity-Attempt"
_ALREADY_THERE: Final = 10058
_UNSAFE: Final = re.compile(r"[^A-Za-z0-9_-]+")


class CloudEvent(BaseModel):
    """CloudEvents 1.0, structured mode; extension attributes are kept."""

    model_config = ConfigDict(extra="allow")

    specversion: Literal["1.0"]
    id: str = Field(min_length=1, max_length=300)
    source: str = Field(min_length=1, max_length=500)
    type: str = Field(min_length=1, max_length=200)
    subject: str | None = None
    time: AwareDatetime | None = None
    datacontenttype: str | None = None
    data: JsonValue = None


class InvalidCloudEvent(Exception):
    """The document is no CloudEvent; every fault at once."""

    def __init__(self, faults: list[Fault]) -> None:
        super().__init__("; ".join(f"{fault.where or '/'}: {fault.what}" for fault in faults))
        self.faults = tuple(faults)


async def create_inbound_stream(connection: Connection, *, replicas: int = 1) -> None:
    """Where events from outside are stored before anything is done with them. Raises LogUnavailable."""
    config = {
        "name": STREAM,
        "subjects": ["in.>"],
        "storage": "file",
        "max_age": 90 * 24 * 3600 * 10**9,
        "compression": "s2",
        "num_replicas": replicas,
    }
    answer = await ask(connection, f"STREAM.CREATE.{STREAM}", config)
    if error_code(answer) not in (0, _ALREADY_THERE):
        raise LogUnavailable(answer["error"]["description"])


def parse(raw: bytes) -> CloudEvent:
    """Raises InvalidCloudEvent."""
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

    def __init__(self, handler: CommandHandler) -> None:
        self._handler = handler

    async def take(self, subject: str, raw: bytes, *, attempt: int = 1) -> None:
        """Handle one stored event; it is on the record afterwards. Raises LogUnavailable."""
        try:
            event = parse(raw)
        except InvalidCloudEvent as invalid:
            return await self._park(_identity(subject, raw), attempt, subject, raw, str(invalid))
        route = self._handler.routes.get(event.type)
        if route is not None and not route.internal:
            return await self._execute(event, attempt, subject, raw)
        received = inbound.Receive(event.source, event.id, event.type, msgspec.Raw(raw))
        await self._record(_identity(event.source, event.id), attempt, received, event.source)

    async def _execute(self, event: CloudEvent, attempt: int, subject: str, raw: bytes) -> None:
        identity = _identity(event.source, event.id)
        extra: dict[str, Any] = event.model_extra or {}
        request = CommandRequest(
            type=event.type,
            data=msgspec.json.encode(event.data if event.data is not None else {}),
            id=f"in-{identity}",
            stream_id=event.subject,
        )
        caller = Caller(
            actor=str(extra.get("actor") or event.source),
            correlation_id=extra.get("correlationid"),
            causation_id=event.id,
            traceparent=extra.get("traceparent"),
        )
        try:
            await self._handler.handle(request, caller)
        except (InvalidCommand, EventStoreError) as error:
            if isinstance(error, LogUnavailable):
                raise
            await self._park(identity, attempt, subject, raw, str(error))

    async def _park(self, identity: str, attempt: int, subject: str, raw: bytes, reason: str) -> None:
        text = raw.decode(errors="replace")
        await self._record(identity, attempt, inbound.Park(subject, text, reason), subject)

    async def _record(self, identity: str, attempt: int, command: inbound.Receive | inbound.Park, actor: str) -> None:
        directive = Directive(
            id=f"inbound-{identity}-{attempt}", category=inbound.inbound.category, stream_id=identity, command=command
        )
        await self._handler.direct([directive], Caller(actor=actor))


async def run_inbound(nats_url: str, inbox: Inbox) -> None:
    """Consume for ever. One message at a time, acknowledged when it is on the record."""
    broker = NatsBroker(nats_url.split(","), max_reconnect_attempts=-1, reconnect_time_wait=1, logger=None)

    @broker.subscriber(
        "in.>",
        durable="inbound",
        stream=JStream(STREAM, declare=False),
        pull_sub=PullSub(batch_size=1, timeout=5.0),
        ack_policy=AckPolicy.MANUAL,
        config=ConsumerConfig(ack_wait=30.0, max_deliver=-1),
    )
    async def consume(message: NatsMessage) -> None:
        raw = message.raw_message
        try:
            await inbox.take(raw.subject, raw.data, attempt=int((raw.headers or {}).get(ATTEMPT, "1")))
        except EventStoreError as error:
            log.warning("an event from outside waits: %s", error)
            await message.nack(delay=1)
        else:
            await message.ack()

    @broker.subscriber(
        "evt.inbound.>",
        durable="inbound-retries",
        stream=JStream(EVENTS, declare=False),
        pull_sub=PullSub(batch_size=1, timeout=5.0),
        ack_policy=AckPolicy.MANUAL,
        config=ConsumerConfig(ack_wait=30.0, max_deliver=-1),
    )
    async def retry(message: NatsMessage) -> None:
        event = recorded(message.raw_message.metadata.sequence.stream, message.raw_message.data)
        if event.type == RETRIED:
            again = msgspec.json.decode(event.envelope.data, type=inbound.Retried)
            await broker.publish(again.document.encode(), again.subject, headers={ATTEMPT: str(again.attempt)})
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
