"""How messages come in and answers go out: one row for each platform.

    delivery → `verified` → `Channel.answer` (what the platform is told at once) → `Channel.messages` → Incoming
    attachment without a content → `Channel.fetch`;  question → `send`

Normalisers are pure. Errors are those of `records.channels.errors`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from functools import partial
from typing import Any, Final, NamedTuple, Protocol

import httpx

from domain.message import Attachment, Message, Platform
from domain.source import Configuration
from records.channels import (
    bearer,
    calling,
    cloudevents,
    discord,
    discord_api,
    email,
    http,
    notifying,
    smtp,
    telegram,
    telegram_api,
    whatsapp,
    whatsapp_api,
)
from records.channels.errors import FetchRefused, NotGenuine, SendRefused
from records.channels.form import Incoming

__all__ = ["CHANNELS", "Channel", "Incoming", "challenge", "fetch", "send", "verified"]


class Messages(Protocol):
    """Raises NotUnderstood with every fault. `received_at` stands in where a message does not say when it was sent."""

    def __call__(
        self, body: bytes, source: str, headers: Mapping[str, str] | None = None, received_at: datetime | None = None
    ) -> tuple[Incoming, ...]: ...


class Fetch(Protocol):
    """Raises FetchRefused, also when it is larger than `limits.attachment`, and FetchFailed."""

    async def __call__(
        self,
        client: httpx.AsyncClient,
        configuration: Configuration,
        secrets: Mapping[str, str],
        attachment: Attachment,
        /,
    ) -> bytes: ...


class Send(Protocol):
    """The external id of what was sent, as `reply_to` of an answer will name it. Raises SendRefused, SendFailed."""

    async def __call__(
        self,
        client: httpx.AsyncClient,
        configuration: Configuration,
        secrets: Mapping[str, str],
        message: Message,
        text: str,
        key: str,
        /,
    ) -> str: ...


def _nothing(body: bytes) -> dict[str, Any] | None:
    return None


async def _came_along(
    client: httpx.AsyncClient, configuration: Configuration, secrets: Mapping[str, str], attachment: Attachment
) -> bytes:
    raise FetchRefused("it should have come with its message")


def _not_by_http(headers: Mapping[str, str], body: bytes, secret: str) -> None:
    raise NotGenuine("messages of this source are made here, not delivered")


class Channel(NamedTuple):
    """`signed`: the platform signs what it delivers, so that nothing is taken while there is no secret to check it
    with. `answer`: a JSON body for the platform, None is 204. `delivered`: by HTTP."""

    verify: Callable[[Mapping[str, str], bytes, str], None]
    messages: Messages
    fetch: Fetch = _came_along
    send: Send = notifying.send
    signed: bool = False
    delivered: bool = True
    answer: Callable[[bytes], dict[str, Any] | None] = _nothing


CHANNELS: Final[Mapping[Platform, Channel]] = {
    "whatsapp": Channel(whatsapp.verify, whatsapp.messages, whatsapp_api.fetch, whatsapp_api.send, signed=True),
    "telegram": Channel(telegram.verify, telegram.messages, telegram_api.fetch, telegram_api.send, signed=True),
    "discord": Channel(
        discord.verify, discord.messages, discord_api.fetch, discord_api.send, signed=True, answer=discord.answer
    ),
    "email": Channel(bearer.verify, email.messages, send=smtp.send),
    "http": Channel(bearer.verify, http.messages),
    "cloudevents": Channel(bearer.verify, cloudevents.messages),
    "folder": Channel(_not_by_http, partial(http.upload, "folder"), delivered=False),
    "database": Channel(_not_by_http, partial(http.upload, "database"), delivered=False),
}


def verified(configuration: Configuration, secrets: Mapping[str, str], headers: Mapping[str, str], body: bytes) -> None:
    """Raises NotGenuine unless a delivery is from who the source is of.

    A source of a kind that no platform signs may do without a secret: then whoever knows its address may deliver.
    """
    channel = CHANNELS[configuration.platform]
    secret = calling.secret(secrets, configuration.secret)
    if secret is not None or not channel.delivered:
        channel.verify(headers, body, secret or "")
    elif channel.signed or configuration.secret is not None:
        raise NotGenuine("the variable with the secret of this source is not set")


def challenge(configuration: Configuration, secrets: Mapping[str, str], query: Mapping[str, str]) -> str:
    """What to answer when WhatsApp asks with GET whether the address is right. Raises NotGenuine."""
    token = calling.secret(secrets, configuration.verify)
    if configuration.platform != "whatsapp" or token is None:
        raise NotGenuine("this source has nothing to be verified by")
    return whatsapp.challenge(query, token)


async def fetch(
    client: httpx.AsyncClient, configuration: Configuration, secrets: Mapping[str, str], attachment: Attachment
) -> bytes:
    """By the platform of the source. Raises FetchRefused and FetchFailed."""
    return await CHANNELS[configuration.platform].fetch(client, configuration, secrets, attachment)


async def send(
    client: httpx.AsyncClient,
    configuration: Configuration,
    secrets: Mapping[str, str],
    message: Message,
    text: str,
    key: str,
) -> str:
    """By Apprise where the source names a URL for it, else by the platform itself; the platforms that cannot answer
    need Apprise. Raises SendRefused and SendFailed."""
    if configuration.reply.apprise is not None:
        return await notifying.send(client, configuration, secrets, message, text, key)
    channel = CHANNELS[configuration.platform]
    if channel.send is notifying.send:
        raise SendRefused("the source says nothing about how its senders are answered")
    return await channel.send(client, configuration, secrets, message, text, key)
