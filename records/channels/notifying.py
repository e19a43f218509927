"""What we say through Apprise (https://github.com/caronc/apprise): any of its services, by a URL in a variable."""

from __future__ import annotations

import asyncio
import hashlib
import logging
from collections.abc import Mapping
from typing import Any, Final, cast
from urllib.parse import quote

import httpx

from domain.message import Message
from domain.source import Configuration
from records.channels import calling
from records.channels.errors import SendFailed, SendRefused

_PATIENCE: Final = 60.0


async def send(
    client: httpx.AsyncClient,
    configuration: Configuration,
    secrets: Mapping[str, str],
    message: Message,
    text: str,
    key: str,
) -> str:
    """An id of our own, made of the key: Apprise does not tell the service's.

    `{to}` and `{reference}` in the URL stand for the sender and the message that is asked about, both escaped. Raises
    SendRefused, and SendFailed, which is always retryable: Apprise says no more than that it did not work.
    """
    template = calling.secret(secrets, configuration.reply.apprise)
    if template is None:
        raise SendRefused("the variable with the Apprise URL is not set")
    if "{to}" in template and not message.sender.id:
        raise SendRefused("its sender is not known")
    url = template.replace("{to}", quote(message.sender.id, safe=""))
    url = url.replace("{reference}", quote(message.external_id, safe=""))
    try:
        worked = await asyncio.wait_for(asyncio.to_thread(_notify, url, configuration.name, text), _PATIENCE)
    except TimeoutError:
        raise SendFailed("no answer in time", True) from None
    except Exception as error:  # services are many, and so are their errors, which may quote the URL
        raise SendFailed(f"it did not go out ({type(error).__name__})", True) from None
    if worked is None:
        raise SendRefused("the variable holds no URL that Apprise knows")
    if not worked:
        raise SendFailed("the service did not take it", True)
    return f"apprise:{hashlib.sha256(key.encode()).hexdigest()[:40]}"


def _notify(url: str, title: str, text: str) -> bool | None:
    """None when the URL is of no service. Loads Apprise, which takes a second, when it is first needed."""
    import apprise

    # Their logs quote URLs, addresses and bodies; what went wrong is told by what this answers.
    for name in ("apprise", "urllib3.connectionpool"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    service = cast(Any, apprise.Apprise())
    if not service.add(url):
        return None
    return bool(service.notify(body=text, title=title))
