"""Telegram Bot API: files, and what we say. https://core.telegram.org/bots/api#getfile and #sendmessage."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import quote

import httpx

from domain.message import Attachment, Message
from domain.source import Configuration
from records.channels import calling
from records.channels.calling import Answered, Unanswered
from records.channels.errors import FetchFailed, FetchRefused, SendFailed, SendRefused
from records.channels.form import too_large
from records.channels.payload import Part
from records.channels.telegram import place

API: Final = "https://api.telegram.org"
_TOKEN: Final = re.compile(r"[0-9]{1,20}:[A-Za-z0-9_-]{1,200}")
_LONGEST: Final = 4096


async def fetch(
    client: httpx.AsyncClient, configuration: Configuration, secrets: Mapping[str, str], attachment: Attachment
) -> bytes:
    """getFile, then the file itself: Telegram gives bots files up to 20 MB. Raises FetchRefused and FetchFailed."""
    token = _token(configuration, secrets)
    if token is None:
        raise FetchFailed("the variable with the bot's token is not set, or holds none", False)
    if not attachment.remote:
        raise FetchRefused("it has no file id")
    api = _api(configuration)
    try:
        answered = await calling.call(client, "POST", f"{api}/bot{token}/getFile", body={"file_id": attachment.remote})
    except Unanswered as error:
        raise FetchFailed(str(error), True) from None
    calling.check_found(answered, _said(answered), secrets)
    file = Part(answered.fields, "", []).part("result")
    if (file.size("file_size") or 0) > configuration.limits.attachment:
        raise FetchRefused(too_large(configuration.limits))
    path = quote(file.text("file_path"), safe="/")
    if not path or ".." in path.split("/"):
        raise FetchRefused("Telegram names no path for it")
    return await calling.download(client, f"{api}/file/bot{token}/{path}", configuration, ("api.telegram.org",))


async def send(
    client: httpx.AsyncClient,
    configuration: Configuration,
    secrets: Mapping[str, str],
    message: Message,
    text: str,
    key: str,
) -> str:
    """`<chat>:<message_id>` of what was sent. Telegram knows no idempotency: `key` is not used.

    Raises SendRefused, also when it is longer than 4,096 characters, and SendFailed.
    """
    token = _token(configuration, secrets)
    if token is None:
        raise SendRefused("the variable with the bot's token is not set, or holds none")
    if len(text) > _LONGEST:
        raise SendRefused(f"longer than {_LONGEST:,} characters")
    try:
        answered = await calling.call(
            client, "POST", f"{_api(configuration)}/bot{token}/sendMessage", body=_body(message, text)
        )
    except Unanswered as error:
        raise SendFailed(str(error), True) from None
    calling.check_sent(answered, _said(answered), secrets)
    sent = Part(answered.fields, "", []).part("result")
    chat, number = sent.part("chat").id("id") or message.conversation, sent.id("message_id")
    if not number:
        raise SendFailed("it was taken, but the answer names no message", False)
    return f"{chat}:{number}"


def _body(message: Message, text: str) -> dict[str, Any]:
    chat, number = place(message)
    body: dict[str, Any] = {"chat_id": chat, "text": text}
    if number is not None:
        body["reply_parameters"] = {"message_id": number, "allow_sending_without_reply": True}
    thread = message.metadata.get("thread_id", "")
    if thread.isdecimal():
        body["message_thread_id"] = int(thread)
    if business := message.metadata.get("business_connection_id"):
        body["business_connection_id"] = business
    return body


def _token(configuration: Configuration, secrets: Mapping[str, str]) -> str | None:
    token = calling.secret(secrets, configuration.reply.token)
    return token if token and _TOKEN.fullmatch(token) else None


def _api(configuration: Configuration) -> str:
    return (configuration.reply.api or API).rstrip("/")


def _said(answered: Answered) -> str:
    return Part(answered.fields, "", []).text("description")
