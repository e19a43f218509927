"""The one form of whatever comes in, from any platform: sender, content, attachments, metadata."""

from __future__ import annotations

import hashlib
from datetime import datetime
from typing import Annotated, Any, Literal

from msgspec import Meta, Struct

from domain.decider import ID
from domain.pipeline import Sha256

Id = Annotated[str, Meta(pattern=ID)]
Platform = Literal["whatsapp", "telegram", "discord", "email", "folder", "http", "cloudevents", "database"]
External = Annotated[str, Meta(max_length=500)]
"""What somebody else calls something."""

LONGEST_TEXT = 200_000
"""Characters of a message's own text; a longer one comes as an attachment."""


class Sender(Struct, frozen=True, forbid_unknown_fields=True):
    """`id` is where an answer reaches the sender on the platform: a number, an address, a user."""

    id: External
    name: Annotated[str, Meta(max_length=300)] = ""


class Attachment(Struct, frozen=True, forbid_unknown_fields=True):
    """`content` is the SHA-256 of what is stored, None while it is only known by what the platform calls it
    (`remote`: an id or a URL). `refused` says why it is not stored: too large, or of a type that is not taken."""

    name: Annotated[str, Meta(max_length=300)]
    media_type: Annotated[str, Meta(max_length=200)] = "application/octet-stream"
    size: int | None = None
    content: Sha256 | None = None
    remote: Annotated[str, Meta(max_length=2_000)] | None = None
    refused: Annotated[str, Meta(max_length=300)] | None = None


class Message(Struct, frozen=True, forbid_unknown_fields=True):
    """`external_id` is unique at its source: the same message delivered twice has the same one. `conversation` is
    where an answer is said (a chat, a channel, a thread, a mailbox), `reply_to` the message that this one answers.
    `data` is what came as fields, by name, and needs no reading."""

    platform: Platform
    source: Id
    external_id: External
    sender: Sender
    sent_at: datetime
    conversation: External = ""
    text: Annotated[str, Meta(max_length=LONGEST_TEXT)] = ""
    data: dict[str, Any] = {}
    attachments: Annotated[tuple[Attachment, ...], Meta(max_length=100)] = ()
    reply_to: External | None = None
    metadata: dict[Annotated[str, Meta(max_length=100)], Annotated[str, Meta(max_length=2_000)]] = {}


def record_id(message: Message) -> str:
    """Of its record: the same for the same message, however often it is delivered."""
    return f"{message.source}-{hashlib.sha256(message.external_id.encode()).hexdigest()[:24]}"
