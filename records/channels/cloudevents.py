"""CloudEvents 1.0 over HTTP to messages: structured, in batches, and binary (attributes in `ce-` headers).

https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/bindings/http-protocol-binding.md
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from datetime import datetime
from typing import Any
from urllib.parse import unquote

import msgspec

from records.channels import form
from records.channels.errors import NotUnderstood
from records.channels.form import Draft, Incoming
from records.channels.payload import Part, check, objects, parsed

_CONTEXT = ("specversion", "id", "source", "type", "time", "subject", "datacontenttype", "dataschema")


def messages(
    body: bytes, source: str, headers: Mapping[str, str] | None = None, received_at: datetime | None = None
) -> tuple[Incoming, ...]:
    """One for each event: its key is `source` and `id`, its sender `source`, its fields are `data`; data that are no
    object are its text (a string), an attachment (bytes) or a field `data` (anything else).

    `time` is when it was sent, `received_at` for an event without it. Raises NotUnderstood.
    """
    headers = headers or {}
    if form.header(headers, "ce-specversion"):
        drafts = [_binary(body, headers, received_at)]
    else:
        drafts = _structured(body, received_at)
    made = [form.message("cloudevents", source, draft) for draft in drafts]
    kept = form.header(headers, "Content-Type") or "application/cloudevents+json"
    return tuple(Incoming(message, body, kept[:200], contents) for message, contents in made)


def _structured(body: bytes, received_at: datetime | None) -> list[Draft]:
    faults: list[str] = []
    events = objects(body, faults)
    drafts = [_draft(event, received_at) for event in events]
    if faults:
        raise NotUnderstood(faults)
    return drafts


def _binary(body: bytes, headers: Mapping[str, str], received_at: datetime | None) -> Draft:
    attributes: dict[str, Any] = {
        name[3:].lower(): unquote(value) for name, value in headers.items() if name.lower().startswith("ce-")
    }
    media_type = form.header(headers, "Content-Type")
    if media_type:
        attributes["datacontenttype"] = media_type
    plain = media_type.split(";")[0].strip().lower()
    if not body:
        pass
    elif plain in ("", "application/json") or plain.endswith("+json"):
        attributes["data"] = parsed(body)
    elif plain.startswith("text/"):
        attributes["data"] = body.decode("utf-8", "replace")
    else:
        attributes["data_base64"] = base64.b64encode(body).decode()
    event = Part(attributes, "", [])
    draft = _draft(event, received_at)
    check(event)
    return draft


def _draft(event: Part, received_at: datetime | None) -> Draft:
    if event.needed("specversion") not in ("", "1.0"):
        event.faults.append(f"{event.path}/specversion is not 1.0")
    id, origin, kind = event.needed("id"), event.needed("source"), event.needed("type")
    others = {
        name: str(value)
        for name, value in event.fields.items()
        if name not in (*_CONTEXT, "data", "data_base64") and isinstance(value, (str, int))
    }
    draft = Draft(
        external_id=msgspec.json.encode([origin, id]).decode(),
        sender=event.text("sender") or origin,
        sent_at=event.moment("time", received_at),
        conversation=event.text("subject") or origin,
        metadata={"kind": kind, "subject": event.text("subject"), "dataschema": event.text("dataschema"), **others},
    )
    return _with_data(draft, event)


def _with_data(draft: Draft, event: Part) -> Draft:
    if "data_base64" in event.fields:
        try:
            content = base64.b64decode(event.text("data_base64"), validate=True)
        except (binascii.Error, ValueError):
            event.faults.append(f"{event.path}/data_base64 is no base64")
            return draft
        media_type = event.text("datacontenttype") or "application/octet-stream"
        return draft._replace(files=[form.file(f"data.{form.ending(media_type)}", media_type, content)])
    match event.fields.get("data"):
        case None:
            return draft
        case dict():
            return draft._replace(data=event.part("data").fields)
        case str() as text:
            return draft._replace(text=text)
        case other:
            return draft._replace(data={"data": other})
