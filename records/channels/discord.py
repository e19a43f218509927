"""Discord: interactions, webhook events and message objects to messages.

https://discord.com/developers/docs/interactions/receiving-and-responding, .../events/webhook-events and
.../resources/message#message-object. Discord waits three seconds and delivers an interaction once. Calls to the API
are in `discord_api`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from records.channels import form
from records.channels.discord_fields import Fields, given, submitted, tapped
from records.channels.errors import ChannelError, NotGenuine
from records.channels.form import Draft, File, Incoming
from records.channels.payload import Part, check, document

PING, COMMAND, COMPONENT, AUTOCOMPLETE, MODAL = 1, 2, 3, 4, 5
_BEGINNING: Final = datetime(2015, 1, 1, tzinfo=UTC)
_MESSAGE_EVENTS: Final = ("MESSAGE_CREATE", "MESSAGE_UPDATE")
_KINDS: Final = {COMMAND: "command", COMPONENT: "component", MODAL: "modal"}
_ONLY_FOR_THE_SENDER: Final = 1 << 6


def verify(headers: Mapping[str, str], body: bytes, secret: str) -> None:
    """`secret` is the application's public key, in hex; what is signed is the timestamp and the body (Ed25519).

    Raises NotGenuine. Discord probes with wrong signatures, and takes an address away that accepts them.
    """
    signature = form.header(headers, "X-Signature-Ed25519")
    timestamp = form.header(headers, "X-Signature-Timestamp")
    try:
        key = Ed25519PublicKey.from_public_bytes(bytes.fromhex(secret.strip()))
        key.verify(bytes.fromhex(signature), timestamp.encode() + body)
    except (InvalidSignature, ValueError):
        raise NotGenuine("X-Signature-Ed25519 is not that of the timestamp and the body") from None


def answer(body: bytes) -> dict[str, Any] | None:
    """What Discord is to be told at once: PING → PONG, an interaction → an answer that is deferred (type 5, seen by
    its sender alone; `discord_api.settle` says it), suggestions → none. None: nothing, status 204."""
    try:
        whole = document(body)
    except ChannelError:
        return None
    if "event" in whole.fields or "author" in whole.fields:
        return None
    match whole.fields.get("type"):
        case 1:
            return {"type": 1}
        case 2 | 3 | 5:
            return {"type": 5, "data": {"flags": _ONLY_FOR_THE_SENDER}}
        case 4:
            return {"type": 8, "data": {"choices": []}}
        case _:
            return None


def messages(
    body: bytes, source: str, headers: Mapping[str, str] | None = None, received_at: datetime | None = None
) -> tuple[Incoming, ...]:
    """At most one message; none for a PING, a suggestion, what a bot says, or an event that is no message.

    The key is the id of the interaction or of the message; an edited one has the time of its edit with it. Raises
    NotUnderstood.
    """
    whole = document(body)
    draft = _draft(whole)
    check(whole)
    if draft is None:
        return ()
    message, contents = form.message("discord", source, draft)
    return (Incoming(message, body, "application/json", contents),)


def _draft(whole: Part) -> Draft | None:
    if "author" in whole.fields:
        return _said(whole)
    if "event" in whole.fields or whole.fields.get("type") == 0:
        event = whole.part("event")
        return _said(event.part("data")) if event.text("type").endswith(_MESSAGE_EVENTS) else None
    match whole.fields.get("type"):
        case 1 | 4:
            return None
        case int() as kind if not isinstance(kind, bool):
            return _interaction(whole, _KINDS.get(kind, f"interaction_{kind}"))
        case _:
            whole.faults.append("/type is not that of an interaction, an event or a message")
            return None


def _interaction(whole: Part, kind: str) -> Draft:
    person = whole.part("member").part("user") if whole.fields.get("member") else whole.part("user")
    data, about = whole.part("data"), whole.part("message")
    channel = whole.id("channel_id") or whole.part("channel").id("id")
    key = whole.needed("id")
    read = _fields(data, kind)
    who = Draft(
        external_id=key,
        sender=person.needed("id"),
        sent_at=_moment(key, whole, "id"),
        name=person.text("global_name") or person.text("username"),
        conversation=channel,
        text=read.text,
        data=read.data,
        files=_files(read.attachments),
        reply_to=about.id("id") or None,
        metadata={
            "kind": kind,
            "name": data.text("name") or data.text("custom_id"),
            "application_id": whole.id("application_id"),
            "guild_id": whole.id("guild_id"),
            "locale": whole.text("locale"),
        },
    )
    target = data.part("resolved").part("messages").fields.get(data.id("target_id"))
    return who if not isinstance(target, dict) else _pointed_at(who, data)


def _pointed_at(who: Draft, data: Part) -> Draft:
    """A command of a message's menu: that message, as said by whoever chose it."""
    target = data.part("resolved").part("messages").part(data.id("target_id"))
    text, attachments = _content(target)
    return who._replace(
        text=text,
        files=_files(attachments),
        reply_to=_answered(target),
        metadata={**who.metadata, "kind": "message_command", "message_id": target.id("id")},
    )


def _fields(data: Part, kind: str) -> Fields:
    match kind:
        case "command":
            return given(data)
        case "component":
            return tapped(data)
        case "modal":
            return submitted(data)
        case _:
            return Fields("", {"data": data.fields} if data.fields else {}, [])


def _said(message: Part) -> Draft | None:
    """A message object: of a channel, a lobby or a direct message."""
    author = message.part("author")
    if author.fields.get("bot") is True:
        return None
    key, edited = message.needed("id"), message.text("edited_timestamp")
    text, attachments = _content(message)
    kind = message.fields.get("type", 0)
    return Draft(
        external_id=f"{key}:{edited}" if edited else key,
        sender=author.needed("id"),
        sent_at=_moment(key, message, "id"),
        name=author.text("global_name") or author.text("username"),
        conversation=message.id("channel_id") or message.id("lobby_id"),
        text=text,
        files=_files(attachments),
        reply_to=_answered(message),
        metadata={
            "kind": "text" if kind in (0, 19) else f"message_{kind}",
            "message_id": key,
            "guild_id": message.id("guild_id"),
            "edited": key if edited else "",
        },
    )


def _content(message: Part) -> tuple[str, list[Part]]:
    """Its own, with that of what it forwards."""
    forwarded = [one.part("message") for one in message.parts("message_snapshots")]
    texts = [one.text("content") for one in (message, *forwarded)]
    return "\n".join(filter(None, texts)), [file for one in (message, *forwarded) for file in one.parts("attachments")]


def _answered(message: Part) -> str | None:
    """A reference of type 1 is to what is forwarded."""
    reference = message.part("message_reference")
    return reference.id("message_id") or None if reference.fields.get("type", 0) == 0 else None


def _files(attachments: Sequence[Part]) -> list[File]:
    return [
        form.remote(one.text("filename"), one.text("content_type"), one.size("size"), one.needed("url"))
        for one in attachments
    ]


def _moment(snowflake: str, part: Part, name: str) -> datetime:
    """The first 42 of its 64 bits are milliseconds since 2015 (.../docs/reference#snowflakes)."""
    if snowflake.isascii() and snowflake.isdecimal() and len(snowflake) <= 20 and int(snowflake) < 1 << 63:
        return _BEGINNING + timedelta(milliseconds=int(snowflake) >> 22)
    if snowflake:
        part.faults.append(f"{part.path}/{name} is no snowflake")
    return _BEGINNING
