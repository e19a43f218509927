"""Discord's API: attachments, and what we say.

https://discord.com/developers/docs/resources/message#create-message,
https://discord.com/developers/docs/interactions/receiving-and-responding#followup-messages,
https://discord.com/developers/docs/topics/rate-limits
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import quote

import httpx

from domain.message import Attachment, Message
from domain.source import Configuration
from records.channels import calling
from records.channels.calling import Answered, Unanswered
from records.channels.errors import FetchRefused, SendFailed, SendRefused
from records.channels.payload import Part, document

API: Final = "https://discord.com/api/v10"
_FILES: Final = ("cdn.discordapp.com", "media.discordapp.net")
_LONGEST: Final = 2000
_NONCE: Final = 25
_AGENT: Final = {"User-Agent": "DiscordBot (https://localhost, 1)"}
"""Discord asks for one of this form, and turns others away."""


async def fetch(
    client: httpx.AsyncClient, configuration: Configuration, secrets: Mapping[str, str], attachment: Attachment
) -> bytes:
    """From its URL, which is signed and good for a day; no token goes there. Raises FetchRefused and FetchFailed."""
    if not attachment.remote:
        raise FetchRefused("it has no URL")
    return await calling.download(client, attachment.remote, configuration, _FILES)


async def send(
    client: httpx.AsyncClient,
    configuration: Configuration,
    secrets: Mapping[str, str],
    message: Message,
    text: str,
    key: str,
) -> str:
    """The id of the message that was sent: within some minutes, the same one for the same key.

    Raises SendRefused, also when it is longer than 2,000 characters, and SendFailed.
    """
    token = calling.secret(secrets, configuration.reply.token)
    if token is None or not message.conversation:
        raise SendRefused("the bot's token is not configured, or the channel is not known")
    body = _body(message, text, key)
    if len(body["content"]) > _LONGEST:
        raise SendRefused(f"longer than {_LONGEST:,} characters")
    url = f"{_api(configuration)}/channels/{quote(message.conversation, safe='')}/messages"
    try:
        answered = await calling.call(client, "POST", url, {"Authorization": f"Bot {token}", **_AGENT}, body)
    except Unanswered as error:
        raise SendFailed(str(error), True) from None
    calling.check_sent(answered, _said(answered), secrets)
    sent = Part(answered.fields, "", []).id("id")
    if not sent:
        raise SendFailed("it was taken, but the answer names no message", False)
    return sent


async def settle(client: httpx.AsyncClient, configuration: Configuration, body: bytes, text: str) -> None:
    """Say what was deferred: `body` is the interaction, whose token is good for 15 minutes and needs no other.

    Raises SendRefused, NotUnderstood and SendFailed.
    """
    interaction = document(body)
    token, application = interaction.text("token"), interaction.id("application_id")
    url = f"{_api(configuration)}/webhooks/{quote(application, safe='')}/{quote(token, safe='')}/messages/@original"
    content: dict[str, Any] = {"content": text[:_LONGEST], "allowed_mentions": {"parse": []}}
    try:
        answered = await calling.call(client, "PATCH", url, _AGENT, content)
    except Unanswered as error:
        raise SendFailed(str(error), True) from None
    calling.check_sent(answered, _said(answered), {"token": token})


def _body(message: Message, text: str, key: str) -> dict[str, Any]:
    """An interaction is no message that could be replied to: then its sender is mentioned."""
    body: dict[str, Any] = {
        "content": text,
        "allowed_mentions": {"parse": [], "users": [message.sender.id], "replied_user": True},
        "nonce": hashlib.sha256(key.encode()).hexdigest()[:_NONCE],
        "enforce_nonce": True,
    }
    if number := message.metadata.get("message_id"):
        del body["allowed_mentions"]["users"]
        body["message_reference"] = {"message_id": number, "fail_if_not_exists": False}
    else:
        body["content"] = f"<@{message.sender.id}> {text}"
    return body


def _api(configuration: Configuration) -> str:
    return (configuration.reply.api or API).rstrip("/")


def _said(answered: Answered) -> str:
    return Part(answered.fields, "", []).text("message")
