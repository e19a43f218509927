"""Telegram Bot API: updates to messages.

https://core.telegram.org/bots/api#update and #setwebhook. Calls to the API are in `telegram_api`.
"""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

from domain.message import Message
from records.channels import form
from records.channels.errors import NotGenuine
from records.channels.form import Draft, File, Incoming
from records.channels.payload import Part, check, document

_MESSAGES: Final = (
    "message",
    "edited_message",
    "channel_post",
    "edited_channel_post",
    "business_message",
    "edited_business_message",
    "guest_message",
)
_NO_MESSAGES: Final = frozenset(
    str.split(
        "my_chat_member chat_member chat_join_request chat_boost removed_chat_boost poll poll_answer inline_query "
        "chosen_inline_result shipping_query pre_checkout_query purchased_paid_media message_reaction_count "
        "deleted_business_messages business_connection managed_bot"
    )
)
_FILES: Final = {
    "document": "bin",
    "voice": "ogg",
    "audio": "mp3",
    "video": "mp4",
    "video_note": "mp4",
    "animation": "mp4",
    "sticker": "webp",
}
_TYPES: Final = {
    "voice": "audio/ogg",
    "audio": "audio/mpeg",
    "video": "video/mp4",
    "video_note": "video/mp4",
    "animation": "video/mp4",
    "sticker": "image/webp",
}
_FIELDS: Final = ("location", "venue", "contact", "dice", "poll", "checklist", "web_app_data", "users_shared")
_CONTENT: Final = ("text", "photo", "animation", *(name for name in _FILES if name != "animation"), "venue", *_FIELDS)
_AROUND: Final = frozenset(
    str.split(
        "message_id message_thread_id from sender_chat sender_boost_count sender_business_bot business_connection_id "
        "date chat is_topic_message is_automatic_forward reply_to_message external_reply quote reply_to_story via_bot "
        "edit_date has_protected_content is_from_offline media_group_id author_signature entities caption "
        "caption_entities link_preview_options effect_id show_caption_above_media has_media_spoiler reply_markup "
        "forward_origin direct_messages_topic paid_message_star_count is_paid_post suggested_post_info sender_tag"
    )
)


def verify(headers: Mapping[str, str], body: bytes, secret: str) -> None:
    """`secret` is the `secret_token` that the webhook was set with. Raises NotGenuine."""
    said = form.header(headers, "X-Telegram-Bot-Api-Secret-Token")
    if not said or not hmac.compare_digest(said.encode("utf-8", "replace"), secret.encode()):
        raise NotGenuine("X-Telegram-Bot-Api-Secret-Token is missing, or not the one of this source")


def messages(
    body: bytes, source: str, headers: Mapping[str, str] | None = None, received_at: datetime | None = None
) -> tuple[Incoming, ...]:
    """At most one message. The key is the `update_id`: an edited message is another one, whose metadata say so.

    What we would reply to, and what replies to us, is called `<chat>:<message_id>`: message ids count from 1 in every
    chat. Updates that say nothing to anybody (memberships, boosts, polls) are no messages. Raises NotUnderstood.
    """
    update = document(body)
    kinds = [name for name in update.fields if name != "update_id"]
    if not kinds or kinds[0] in _NO_MESSAGES:
        update.needed("update_id")
        check(update)
        return ()
    draft = _draft(update, kinds[0], received_at)
    check(update)
    message, contents = form.message("telegram", source, draft)
    return (Incoming(message, body, "application/json", contents),)


def _draft(update: Part, kind: str, received_at: datetime | None) -> Draft:
    key = update.needed("update_id")
    if kind in _MESSAGES:
        return _said(update.part(kind), kind)._replace(external_id=key)
    about = update.part(kind) if isinstance(update.fields[kind], dict) else Part({}, "", update.faults)
    return _other(about, kind, update.fields[kind], received_at)._replace(external_id=key)


def _said(message: Part, update_kind: str) -> Draft:
    chat, number = message.part("chat").needed("id"), message.needed("message_id")
    text, data, files = _content(message)
    kind = next((name for name in _CONTENT if name in message.fields), None)
    kind = kind or next((name for name in message.fields if name not in _AROUND), "unknown")
    who, name = _sender(message)
    sent = message.time("edit_date" if message.fields.get("edit_date") else "date")
    if kind not in _CONTENT and kind in message.fields:
        data = {kind: message.fields[kind]}
    metadata = {
        "kind": kind,
        "update": update_kind,
        "message_id": number,
        "thread_id": message.id("message_thread_id") if message.fields.get("is_topic_message") else "",
        "business_connection_id": message.id("business_connection_id"),
        "media_group_id": message.id("media_group_id"),
        "chat_type": message.part("chat").text("type"),
        "chat_title": message.part("chat").text("title"),
        "edited": f"{chat}:{number}" if update_kind.startswith("edited") else "",
    }
    answered = message.part("reply_to_message").id("message_id")
    return Draft("", who, sent, name, chat, text, data, files, f"{chat}:{answered}" if answered else None, metadata)


def _sender(message: Part) -> tuple[str, str]:
    """A person, or the channel or group that speaks as itself."""
    person = message.part("from")
    if person.fields:
        names = (person.text("first_name"), person.text("last_name"))
        return person.needed("id"), " ".join(filter(None, names)) or person.text("username")
    speaker = message.part("sender_chat") if message.fields.get("sender_chat") else message.part("chat")
    return speaker.needed("id"), speaker.text("title")


def _content(message: Part) -> tuple[str, dict[str, Any], list[File]]:
    # An animation comes as a document too, for programs that know no animations.
    twice = "document" if message.fields.get("animation") else None
    files = [_file(message.part(name), name) for name in _FILES if message.fields.get(name) and name != twice]
    sizes = message.parts("photo")
    if sizes:
        largest = max(sizes, key=lambda one: (one.size("width") or 0) * (one.size("height") or 0))
        files.append(form.remote("photo.jpg", "image/jpeg", largest.size("file_size"), largest.needed("file_id")))
    data = {name: message.fields[name] for name in _FIELDS if message.fields.get(name)}
    return message.text("text") or message.text("caption") or _shared(message), data, files


def _shared(message: Part) -> str:
    """What a contact or a place is called."""
    contact, venue = message.part("contact"), message.part("venue")
    names = (contact.text("first_name"), contact.text("last_name"), venue.text("title"), venue.text("address"))
    return " ".join(filter(None, (*names, message.part("sticker").text("emoji"))))


def _file(part: Part, kind: str) -> File:
    media_type = part.text("mime_type") or _TYPES.get(kind, "application/octet-stream")
    name = part.text("file_name") or f"{kind}.{_FILES[kind]}"
    return form.remote(name, media_type, part.size("file_size"), part.needed("file_id"))


def _other(about: Part, kind: str, content: Any, received_at: datetime | None) -> Draft:
    """A tapped button, a reaction, or a kind of update that is not known: its object is kept as fields."""
    person = about.part("from") if about.fields.get("from") else about.part("user")
    message = about.part("message")
    chat = message.part("chat").id("id") or about.part("chat").id("id") or person.id("id")
    number = message.id("message_id") or about.id("message_id")
    if received_at is None and not about.fields.get("date"):
        about.faults.append(f"{about.path}/date is missing, and so is when it came")
    sent = about.time("date") if about.fields.get("date") else received_at
    return Draft(
        external_id="",
        sender=person.id("id"),
        sent_at=sent or about.time("date"),
        name=" ".join(filter(None, (person.text("first_name"), person.text("last_name")))),
        conversation=chat,
        text=about.text("data"),
        data={kind: content},
        reply_to=f"{chat}:{number}" if number else None,
        metadata={"kind": kind, "update": kind, "message_id": number},
    )


def place(message: Message) -> tuple[str, int | None]:
    """The chat, and the message in it, that an answer is for."""
    number = message.metadata.get("message_id", "")
    return message.conversation, int(number) if number.isdecimal() and len(number) < 19 else None
