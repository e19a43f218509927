"""Plain uploads: a multipart form, one file, or JSON.

JSON with any of `id, text, data, sender, sender_name, sent_at, conversation, reply_to, attachments, metadata`; a form
with fields of these names (all others are its data) and files; anything else is one file, with the name that
Content-Disposition gives it.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import io
from collections.abc import Mapping, Sequence
from datetime import datetime
from email.message import EmailMessage
from importlib import import_module
from typing import Any, Final

import msgspec

from domain.message import Platform
from records.channels import form
from records.channels.errors import NotUnderstood
from records.channels.form import Draft, File, Incoming
from records.channels.payload import Part, objects

_TEXTS: Final = ("id", "text", "sender", "sender_name", "sent_at", "conversation", "reply_to")
_KNOWN: Final = frozenset((*_TEXTS, "data", "attachments", "metadata"))
_LARGEST: Final = 256 * 1024 * 1024
_LIMITS: Final = {"disk_limit": _LARGEST, "memory_limit": _LARGEST, "spool_limit": _LARGEST, "part_limit": 1_000}


def messages(
    body: bytes, source: str, headers: Mapping[str, str] | None = None, received_at: datetime | None = None
) -> tuple[Incoming, ...]:
    """One; of a JSON list, one for each object. The key is `id`, else the header Idempotency-Key, else the hash of
    what was said: the same upload again is the same message. Raises NotUnderstood."""
    return upload("http", body, source, headers, received_at)


def upload(
    platform: Platform,
    body: bytes,
    source: str,
    headers: Mapping[str, str] | None = None,
    received_at: datetime | None = None,
) -> tuple[Incoming, ...]:
    """As `messages`, for any platform whose messages are made by ourselves."""
    headers = headers or {}
    said = form.header(headers, "Content-Type")
    media_type, _, _ = said.lower().partition(";")
    faults: list[str] = []
    if media_type.strip() == "multipart/form-data":
        parts = [_form(body, said, faults)]
    elif media_type.strip() == "application/json" and not _filename(headers):
        parts = _objects(body, faults)
    else:
        one = form.file(_filename(headers) or f"upload.{form.ending(said)}", said, body)
        parts = [(Part({}, "", faults), [one])]
    drafts = [_draft(part, files, received_at) for part, files in parts]
    key = form.header(headers, "Idempotency-Key")
    made = [form.message(platform, source, _keyed(draft, key, len(drafts), at)) for at, draft in enumerate(drafts)]
    if faults:
        raise NotUnderstood(faults)
    kept = said[:200] or "application/octet-stream"
    return tuple(Incoming(message, body, kept, contents) for message, contents in made)


def _objects(body: bytes, faults: list[str]) -> list[tuple[Part, list[File]]]:
    parts = objects(body, faults)
    for part in parts:
        faults += [f"{part.path}/{name} is not known" for name in part.fields if name not in _KNOWN]
    return [(part, [_attached(one) for one in part.parts("attachments")]) for part in parts]


def _attached(part: Part) -> File:
    """`{name, media_type, content}`, the content in base64: we fetch nothing from addresses that anybody may name."""
    try:
        content = base64.b64decode(part.needed("content"), validate=True)
    except (binascii.Error, ValueError):
        part.faults.append(f"{part.path}/content is no base64")
        content = b""
    return form.file(part.text("name"), part.text("media_type"), content)


def _form(body: bytes, content_type: str, faults: list[str]) -> tuple[Part, list[File]]:
    multipart = _multipart()
    boundary: str = multipart.parse_options_header(content_type)[1].get("boundary", "")
    if not boundary:
        raise NotUnderstood(["its Content-Type names no boundary"])
    fields: dict[str, Any] = {}
    data: dict[str, Any] = {}
    files: list[File] = []
    try:
        for part in multipart.MultipartParser(io.BytesIO(body), boundary, len(body), **_LIMITS):
            if part.filename:
                files.append(form.file(part.filename.replace("\\", "/").split("/")[-1], part.content_type, part.raw))
            else:
                (fields if part.name in _TEXTS else data)[part.name] = part.raw.decode("utf-8", "replace")
    except (multipart.MultipartError, ValueError, LookupError) as error:
        raise NotUnderstood([f"it is no form ({type(error).__name__})"]) from None
    return Part({**fields, "data": data}, "", faults), files


def _multipart() -> Any:
    """Of the library (https://multipart.readthedocs.io), which has no types."""
    return import_module("multipart")


def _draft(part: Part, files: Sequence[File], received_at: datetime | None) -> Draft:
    metadata = part.part("metadata")
    return Draft(
        external_id=part.id("id"),
        sender=part.id("sender"),
        sent_at=part.moment("sent_at", received_at),
        name=part.text("sender_name"),
        conversation=part.id("conversation") or part.id("sender"),
        text=part.text("text"),
        data=part.part("data").fields,
        files=files,
        reply_to=part.id("reply_to") or None,
        metadata={name: metadata.id(name) for name in metadata.fields},
    )


def _keyed(draft: Draft, key: str, count: int, at: int) -> Draft:
    if draft.external_id:
        return draft
    if key:
        return draft._replace(external_id=key if count == 1 else f"{key}:{at}")
    said = [draft.sender, draft.conversation, draft.reply_to, draft.text, draft.data, sorted(draft.metadata.items())]
    digest = hashlib.sha256(msgspec.json.encode(form.cleaned(said), order="deterministic"))
    for file in draft.files:
        digest.update(file.attachment.name.encode("utf-8", "replace") + b"\0")
        digest.update(hashlib.sha256(file.content or b"").digest())
    return draft._replace(external_id=f"sha256:{digest.hexdigest()}")


def _filename(headers: Mapping[str, str]) -> str:
    """Of Content-Disposition (RFC 6266), without directories."""
    said = form.header(headers, "Content-Disposition")
    if not said:
        return ""
    try:
        disposition = EmailMessage()
        disposition["Content-Disposition"] = " ".join(said.split())
        name = disposition.get_filename() or ""
    except Exception:  # the parser of headers fails on broken ones in many ways
        return ""
    return name.replace("\\", "/").split("/")[-1]
