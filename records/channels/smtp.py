"""Mail that is sent, by SMTP itself (aiosmtplib) instead of through apprise: an answer is matched by the Message-ID of
the question and shown in its thread by In-Reply-To, and a server's 4xx (later) is told from its 5xx (never). Apprise
makes a Message-ID of its own, does not say which, and answers yes or no.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from datetime import UTC, datetime
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime, parseaddr
from typing import Final, NamedTuple
from urllib.parse import urlsplit

import httpx

from domain.message import Message
from domain.source import Configuration
from records.channels import calling
from records.channels.errors import SendFailed, SendRefused

_PATIENCE: Final = 20.0
_SECURE: Final = {"smtp": 587, "smtps": 465}


class _Server(NamedTuple):
    host: str
    port: int
    tls: bool


async def send(
    client: httpx.AsyncClient,
    configuration: Configuration,
    secrets: Mapping[str, str],
    message: Message,
    text: str,
    key: str,
) -> str:
    """The Message-ID of what was sent; the same one for the same key, so that whoever gets it twice shows it once.

    `reply.api` is `smtp://host:587` (STARTTLS; without it where there is no password to protect and the server offers
    none) or `smtps://host:465`, `reply.account` the address it is from, which is also the user, `reply.token` the
    password. Raises SendRefused and SendFailed.
    """
    import aiosmtplib

    server, sender = _server(configuration), parseaddr(configuration.reply.account or "")[1]
    if not sender or "@" not in sender:
        raise SendRefused("the address that mail is from (reply.account) is not configured")
    password = calling.secret(secrets, configuration.reply.token)
    mail = _mail(configuration, sender, message, text, key)
    try:
        await aiosmtplib.send(
            mail,
            hostname=server.host,
            port=server.port,
            use_tls=server.tls,
            start_tls=None if password is None or server.tls else True,
            username=sender if password else None,
            password=password,
            timeout=_PATIENCE,
        )
    except aiosmtplib.SMTPRecipientsRefused as error:
        raise _meaning(min(one.code for one in error.recipients), "the recipient") from None
    except aiosmtplib.SMTPResponseException as error:
        raise _meaning(error.code, "the mail") from None
    except (aiosmtplib.SMTPException, OSError, TimeoutError) as error:
        raise SendFailed(f"no answer ({type(error).__name__})", True) from None
    except ValueError as error:
        raise SendRefused(f"it cannot be sent ({type(error).__name__})") from None
    return str(mail["Message-ID"])


def _meaning(code: int, what: str) -> SendFailed | SendRefused:
    """RFC 5321, 4.2.1: 4yz is for now, 5yz for ever; -1 is an answer that was none."""
    reason = f"the server answers {code} to {what}"
    return SendRefused(reason) if code >= 500 else SendFailed(reason, True)


def _server(configuration: Configuration) -> _Server:
    try:
        parts = urlsplit(configuration.reply.api or "")
        if parts.scheme in _SECURE and parts.hostname:
            return _Server(parts.hostname, parts.port or _SECURE[parts.scheme], parts.scheme == "smtps")
    except ValueError:
        pass
    raise SendRefused("reply.api is not smtp://host:port or smtps://host:port")


def _mail(configuration: Configuration, sender: str, message: Message, text: str, key: str) -> EmailMessage:
    mail = EmailMessage(policy=SMTP)
    subject = message.metadata.get("subject", "")
    try:
        mail["From"] = sender
        mail["To"] = message.sender.id
        mail["Subject"] = _line(
            subject if subject.lower().startswith("re:") else f"Re: {subject or configuration.name}"
        )
        mail["Date"] = format_datetime(datetime.now(UTC))
        mail["Message-ID"] = f"<{hashlib.sha256(key.encode()).hexdigest()[:40]}@{sender.rpartition('@')[2]}>"
        if message.external_id.startswith("<"):
            mail["In-Reply-To"] = _line(message.external_id)
            mail["References"] = " ".join(dict.fromkeys((_line(message.conversation), _line(message.external_id))))
        mail["Auto-Submitted"] = "auto-generated"
    except (ValueError, IndexError):
        raise SendRefused("its sender's address cannot be written to") from None
    mail.set_content(text)
    return mail


def _line(text: str) -> str:
    """A header has one line: a second one would be a header of a stranger's choice."""
    return " ".join(text.split())
