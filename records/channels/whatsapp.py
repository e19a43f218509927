"""WhatsApp Business Platform, Cloud API: deliveries to messages.

https://developers.facebook.com/docs/whatsapp/cloud-api/webhooks/reference/messages (payloads),
https://developers.facebook.com/docs/graph-api/webhooks/getting-started (challenge, signature).
A delivery comes at least once, in any order, for days. Calls to the API are in `whatsapp_api`.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

import msgspec

from records.channels import form
from records.channels.errors import NotGenuine
from records.channels.form import Draft, File, Incoming
from records.channels.payload import Part, check, document

_MEDIA: Final = ("image", "document", "audio", "video", "sticker")
_HEX: Final = re.compile(r"[0-9a-fA-F]{64}")


def verify(headers: Mapping[str, str], body: bytes, secret: str) -> None:
    """`secret` is the app secret: `X-Hub-Signature-256` is an HMAC-SHA256 over the raw body. Raises NotGenuine."""
    kind, _, said = form.header(headers, "X-Hub-Signature-256").partition("=")
    if kind != "sha256" or not _HEX.fullmatch(said):
        raise NotGenuine("X-Hub-Signature-256 is missing, or no SHA-256")
    if not hmac.compare_digest(hmac.digest(secret.encode(), body, hashlib.sha256), bytes.fromhex(said)):
        raise NotGenuine("X-Hub-Signature-256 is not that of the body")


def challenge(query: Mapping[str, str], token: str) -> str:
    """What to answer, as plain text, when WhatsApp asks with GET whether the address is right. Raises NotGenuine."""
    said = query.get("hub.verify_token", "")
    right = hmac.compare_digest(said.encode("utf-8", "replace"), token.encode())
    if query.get("hub.mode") != "subscribe" or not right:
        raise NotGenuine("hub.verify_token is not the one of this source")
    return query.get("hub.challenge", "")


def messages(
    body: bytes, source: str, headers: Mapping[str, str] | None = None, received_at: datetime | None = None
) -> tuple[Incoming, ...]:
    """All messages of all changes of all entries; what became of our own ones (`statuses`) is none.

    The key is the `wamid`. Raises NotUnderstood.
    """
    whole = document(body)
    drafts: list[Draft] = []
    for entry in whole.parts("entry"):
        for change in entry.parts("changes"):
            value = change.part("value")
            names = _names(value)
            drafts += [_draft(message, names, value.part("metadata")) for message in value.parts("messages")]
    check(whole)
    made = [form.message("whatsapp", source, draft) for draft in drafts]
    return tuple(Incoming(message, body, "application/json", contents) for message, contents in made)


def _names(value: Part) -> dict[str, str]:
    return {
        id: contact.part("profile").text("name") or contact.part("profile").text("username")
        for contact in value.parts("contacts")
        for id in (contact.id("wa_id"), contact.id("user_id"))
        if id
    }


def _sender(message: Part) -> str:
    """Who has a user name may keep the number to himself: then the id that the business knows him by stands for it."""
    return message.id("from") or message.id("from_user_id")


def _draft(message: Part, names: Mapping[str, str], business: Part) -> Draft:
    sender = _sender(message) or message.needed("from")
    kind = message.text("type") or "unknown"
    text, data, files = _content(message, kind)
    context = message.part("context")
    metadata = {
        "kind": kind,
        "phone_number_id": business.id("phone_number_id"),
        "display_phone_number": business.id("display_phone_number"),
        "user_id": message.id("from_user_id"),
        "forwarded": "yes" if context.fields.get("forwarded") or context.fields.get("frequently_forwarded") else "",
    }
    return Draft(
        external_id=message.needed("id"),
        sender=sender,
        sent_at=message.time("timestamp"),
        name=names.get(sender) or names.get(message.id("from_user_id"), ""),
        conversation=sender,
        text=text,
        data=data,
        files=files,
        reply_to=message.part("reaction").id("message_id") or context.id("id") or None,
        metadata=metadata,
    )


def _content(message: Part, kind: str) -> tuple[str, dict[str, Any], list[File]]:
    """Text, fields and files, by the kind of message; of an unknown kind its object as it is."""
    part = message.part(kind) if isinstance(message.fields.get(kind), dict) else Part({}, message.path, message.faults)
    match kind:
        case "text":
            return message.part("text").text("body"), {}, []
        case _ if kind in _MEDIA or kind == "voice":
            return part.text("caption"), {}, [_file(part, kind)]
        case "location":
            return " ".join(filter(None, (part.text("name"), part.text("address")))), {"location": part.fields}, []
        case "contacts":
            contacts = message.parts("contacts")
            named = [one.part("name").text("formatted_name") for one in contacts]
            return ", ".join(filter(None, named)), {"contacts": [one.fields for one in contacts]}, []
        case "button":
            return part.text("text"), {"choice": part.id("payload")}, []
        case "interactive":
            return _interactive(part)
        case "reaction":
            return part.text("emoji"), {}, []
        case _:
            return part.text("body"), {kind: message.fields[kind]} if kind in message.fields else {}, []


def _file(part: Part, kind: str) -> File:
    media_type = part.text("mime_type") or "application/octet-stream"
    name = part.text("filename") or f"{kind}.{form.ending(media_type)}"
    return form.remote(name, media_type, part.size("file_size"), part.needed("id"))


def _interactive(part: Part) -> tuple[str, dict[str, Any], list[File]]:
    """A tapped button, a line of a list, or a form that was filled in (`nfm_reply`): its fields are the message's."""
    kind = part.text("type")
    if kind in ("button_reply", "list_reply"):
        chosen = part.part(kind)
        return chosen.text("title"), {"choice": chosen.id("id")}, []
    filled = part.part("nfm_reply")
    answers = _filled_in(filled.text("response_json"))
    return filled.text("body"), answers if answers is not None else {"interactive": part.fields}, []


def _filled_in(text: str) -> dict[str, Any] | None:
    try:
        return msgspec.json.decode(text, type=dict[str, Any])
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        return None
