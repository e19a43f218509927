"""The one form, made within its limits: what does not fit becomes an attachment or is cut, the original stays whole."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from fnmatch import fnmatchcase
from typing import Any, Final, NamedTuple, cast

import msgspec

from domain.message import LONGEST_TEXT, Attachment, Message, Platform, Sender
from domain.source import Limits

LONGEST_DATA: Final = 200_000
"""Bytes of a message's fields as JSON: an event of the log has no room for more."""
MOST_ATTACHMENTS: Final = 100


class Incoming(NamedTuple):
    """One message of a delivery. `original` is what it was read from, byte for byte. `contents` are attachments that
    came along, by their place in `message.attachments`; all others are to be fetched."""

    message: Message
    original: bytes
    original_type: str
    contents: dict[int, bytes]


class File(NamedTuple):
    """An attachment, and its content where that came along."""

    attachment: Attachment
    content: bytes | None = None


class Draft(NamedTuple):
    """What a platform says of a message, of any length."""

    external_id: str
    sender: str
    sent_at: datetime
    name: str = ""
    conversation: str = ""
    text: str = ""
    data: Mapping[str, Any] = {}
    files: Sequence[File] = ()
    reply_to: str | None = None
    metadata: Mapping[str, str] = {}


def file(name: str, media_type: str, content: bytes) -> File:
    return File(_attachment(name, media_type, len(content)), content)


def remote(name: str, media_type: str, size: int | None, address: str) -> File:
    """Known only by what the platform calls it: an id or a URL."""
    attachment = _attachment(name, media_type, size)
    if len(address) > 2_000:
        return File(msgspec.structs.replace(attachment, refused="its address is longer than 2,000 characters"))
    return File(msgspec.structs.replace(attachment, remote=clean(address)))


def message(platform: Platform, source: str, draft: Draft) -> tuple[Message, dict[int, bytes]]:
    """The message and what came along with it. Times become UTC; a text or fields that are too long, attachments."""
    text, data, files = clean(draft.text), cast(dict[str, Any], cleaned(draft.data)), list(draft.files)
    metadata = dict(draft.metadata)
    if len(text) > LONGEST_TEXT:
        files.insert(0, file("text.txt", "text/plain; charset=utf-8", text.encode()))
        text = ""
    packed = msgspec.json.encode(data)
    if len(packed) > LONGEST_DATA:
        files.insert(0, file("data.json", "application/json", packed))
        data = {}
    if len(files) > MOST_ATTACHMENTS:
        metadata["attachments_left_out"] = str(len(files) - MOST_ATTACHMENTS)
    made = Message(
        platform=platform,
        source=source,
        external_id=_external(draft.external_id),
        sender=Sender(_external(draft.sender), clean(draft.name)[:300]),
        sent_at=draft.sent_at.astimezone(UTC),
        conversation=_external(draft.conversation),
        text=text,
        data=data,
        attachments=tuple(one.attachment for one in files[:MOST_ATTACHMENTS]),
        reply_to=_external(draft.reply_to) if draft.reply_to else None,
        metadata={clean(name)[:100]: clean(value)[:2_000] for name, value in metadata.items() if value},
    )
    return made, {at: one.content for at, one in enumerate(files[:MOST_ATTACHMENTS]) if one.content is not None}


def ending(media_type: str) -> str:
    """Of a file that has no name."""
    plain = media_type.partition(";")[0].strip().lower().rpartition("/")[2]
    usual = {"jpeg": "jpg", "mpeg": "mp3", "octet-stream": "bin", "plain": "txt", "rfc822": "eml", "": "bin"}
    return usual.get(plain, plain[:20])


def refusal(limits: Limits, attachment: Attachment) -> str | None:
    """Why a source does not take an attachment, by what is said of it; the size is None while nobody knows it."""
    media_type = attachment.media_type.split(";")[0].strip().lower()
    if not any(fnmatchcase(media_type, pattern.lower()) for pattern in limits.types):
        return f"{media_type} is not taken here"
    if attachment.size is not None and attachment.size > limits.attachment:
        return too_large(limits)
    return None


def too_large(limits: Limits) -> str:
    return f"larger than {limits.attachment:,} bytes"


def clean(text: str) -> str:
    """What UTF-8 and PostgreSQL can hold: halves of surrogate pairs and NUL become U+FFFD."""
    if "\x00" in text:
        text = text.replace("\x00", "�")
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text


def cleaned(value: object) -> object:
    """The same for all text within a JSON document, names included."""
    if isinstance(value, str):
        return clean(value)
    if isinstance(value, Mapping):
        return {clean(str(name)): cleaned(inner) for name, inner in cast(Mapping[object, object], value).items()}
    if isinstance(value, (list, tuple)):
        return [cleaned(inner) for inner in cast(Sequence[object], value)]
    return value


def header(headers: Mapping[str, str], name: str) -> str:
    """Of any case; empty when it is not there."""
    return next((value for key, value in headers.items() if key.lower() == name.lower()), "")


def _attachment(name: str, media_type: str, size: int | None) -> Attachment:
    known = clean(media_type).strip()[:200] or "application/octet-stream"
    return Attachment(clean(name).strip()[:300] or "unnamed", known, size)


def _external(text: str) -> str:
    """An id that is too long keeps its beginning and stays one of its own."""
    text = clean(text)
    return text if len(text) <= 500 else f"{text[:400]}#{hashlib.sha256(text.encode()).hexdigest()}"
