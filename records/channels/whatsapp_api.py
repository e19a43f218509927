"""WhatsApp Cloud API: media, and what we say.

https://developers.facebook.com/docs/whatsapp/cloud-api/reference/media and .../reference/messages,
https://developers.facebook.com/docs/whatsapp/cloud-api/support/error-codes.
"""

from __future__ import annotations

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

API: Final = "https://graph.facebook.com/v24.0"
_MEDIA: Final = ("fbsbx.com", "facebook.com", "whatsapp.net")
_THROTTLED: Final = frozenset({4, 80007, 130429, 131048, 131056})
"""Error codes of limits on how much is sent: they come with status 400 too."""
_LONGEST: Final = 4096


async def fetch(
    client: httpx.AsyncClient, configuration: Configuration, secrets: Mapping[str, str], attachment: Attachment
) -> bytes:
    """A media id is asked for its URL, which is good for five minutes. Raises FetchRefused and FetchFailed."""
    token = calling.secret(secrets, configuration.reply.token)
    if token is None:
        raise FetchFailed("the variable with the access token is not set", False)
    if not attachment.remote:
        raise FetchRefused("it has no media id")
    headers = {"Authorization": f"Bearer {token}"}
    try:
        url = f"{_api(configuration)}/{quote(attachment.remote, safe='')}"
        answered = await calling.call(client, "GET", url, headers)
    except Unanswered as error:
        raise FetchFailed(str(error), True) from None
    calling.check_found(answered, _said(answered), secrets)
    media = Part(answered.fields, "", [])
    if (media.size("file_size") or 0) > configuration.limits.attachment:
        raise FetchRefused(too_large(configuration.limits))
    return await calling.download(client, media.text("url"), configuration, _MEDIA, headers)


async def send(
    client: httpx.AsyncClient,
    configuration: Configuration,
    secrets: Mapping[str, str],
    message: Message,
    text: str,
    key: str,
) -> str:
    """The `wamid` of what was sent. WhatsApp knows no idempotency: `key` comes back with the statuses, no more.

    Raises SendRefused, also when it is longer than 4,096 characters, and SendFailed.
    """
    token = calling.secret(secrets, configuration.reply.token)
    account = configuration.reply.account or message.metadata.get("phone_number_id")
    if token is None or not account:
        raise SendRefused("the access token or the id of the phone number is not configured")
    if len(text) > _LONGEST:
        raise SendRefused(f"longer than {_LONGEST:,} characters")
    url = f"{_api(configuration)}/{quote(account, safe='')}/messages"
    try:
        answered = await calling.call(
            client, "POST", url, {"Authorization": f"Bearer {token}"}, _body(message, text, key)
        )
    except Unanswered as error:
        raise SendFailed(str(error), True) from None
    calling.check_sent(answered, _said(answered), secrets, _code(answered) in _THROTTLED)
    sent = Part(answered.fields, "", []).parts("messages")
    if not sent or not sent[0].id("id"):
        raise SendFailed("it was taken, but the answer names no message", False)
    return sent[0].id("id")


def _body(message: Message, text: str, key: str) -> dict[str, Any]:
    sender = message.sender.id
    # A number has digits only; any other id is one that stands for a number that is not known.
    to = {"to": sender} if sender.lstrip("+").isdecimal() else {"recipient": sender}
    return {
        "messaging_product": "whatsapp",
        "recipient_type": "individual",
        **to,
        "context": {"message_id": message.external_id},
        "type": "text",
        "text": {"preview_url": False, "body": text},
        "biz_opaque_callback_data": key[:512],
    }


def _api(configuration: Configuration) -> str:
    return (configuration.reply.api or API).rstrip("/")


def _error(answered: Answered) -> Part:
    return Part(answered.fields, "", []).part("error")


def _said(answered: Answered) -> str:
    return _error(answered).text("message")


def _code(answered: Answered) -> int | None:
    return _error(answered).size("code")
