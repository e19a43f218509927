"""Calls to a platform's API: what its answers mean, how long we wait, and where an attachment may come from.

No secret gets into an error: what a library says of a failed call is left out (it may quote a header or a URL), and
what the platform says is shown without any secret that it repeats.
"""

from __future__ import annotations

import asyncio
import logging
import math
import re
import time
from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from typing import Any, Final, NamedTuple, cast

import httpx
import msgspec

from domain.source import Configuration
from records.channels.errors import FetchFailed, FetchRefused, SendFailed, SendRefused
from records.channels.form import too_large

PATIENCE: Final = httpx.Timeout(20.0, connect=5.0)
"""Seconds, of each read and write."""
_CALL: Final = 60.0
_DOWNLOAD: Final = 300.0
"""Seconds, of the whole."""
_LONGEST_ANSWER: Final = 1 << 20
_LATER: Final = frozenset({408, 425, 429})
_CREDENTIALS: Final = frozenset({401, 403})
_HOPS: Final = 3
_BROKEN: Final = (httpx.HTTPError, httpx.InvalidURL, httpx.StreamError, UnicodeError, TimeoutError)
_LONGEST_WAIT: Final = 86_400.0


_IN_A_URL: Final = re.compile(r"/bot[0-9]+(?::|%3A)[^/\s]+|(?<=/webhooks/)[^/\s]+/[^/\s]+", re.IGNORECASE)


def _without_secrets(record: logging.LogRecord) -> bool:
    """Telegram's tokens, and those of Discord's interactions, are part of URLs, which httpx logs."""
    line = record.getMessage()
    record.msg, record.args = _IN_A_URL.sub("•••", line), ()
    return True


logging.getLogger("httpx").addFilter(_without_secrets)


class Answered(NamedTuple):
    """`fields` are empty when it was no JSON object."""

    status: int
    fields: dict[str, Any]
    wait: float | None


class Unanswered(Exception):
    """No answer, or one without end. The text is for people."""


async def call(
    client: httpx.AsyncClient,
    method: str,
    url: str,
    headers: Mapping[str, str] | None = None,
    body: Mapping[str, Any] | None = None,
) -> Answered:
    """One request, without redirects. Raises Unanswered."""
    try:
        async with (
            asyncio.timeout(_CALL),
            client.stream(
                method, url, headers=headers, json=body, timeout=PATIENCE, follow_redirects=False
            ) as response,
        ):
            content = b""
            async for chunk in response.aiter_bytes():
                content += chunk
                if len(content) > _LONGEST_ANSWER:
                    raise Unanswered("its answer has no end")
    except _BROKEN as error:
        raise Unanswered(f"no answer ({type(error).__name__})") from None
    fields = _object(content)
    return Answered(response.status_code, fields, _wait(response.headers.get("retry-after"), fields))


def check_sent(answered: Answered, said: str, secrets: Mapping[str, str], throttled: bool = False) -> None:
    """Raises SendFailed where the same call may work later, SendRefused where it will not. `said` is what the platform
    gives as its reason; `throttled`: by that, it may be tried again."""
    if 200 <= answered.status < 300:
        return
    reason = hidden(f"{answered.status} {said}".strip(), secrets)
    if throttled or answered.status in _LATER or answered.status >= 500:
        raise SendFailed(reason, True, answered.wait)
    raise SendRefused(reason)


def check_found(answered: Answered, said: str, secrets: Mapping[str, str]) -> None:
    """As check_sent, of an attachment that is asked for."""
    if not 200 <= answered.status < 300:
        _not_found(answered.status, hidden(f"{answered.status} {said}".strip(), secrets), answered.wait)


async def download(
    client: httpx.AsyncClient,
    url: str,
    configuration: Configuration,
    hosts: tuple[str, ...],
    headers: Mapping[str, str] | None = None,
) -> bytes:
    """At most as many bytes as the source takes of one attachment. Only from `hosts` (and what is below them) over
    https, or from the API that is configured: `headers` may hold a token, and an address that a stranger chose could
    be one of our own network's. A redirect is followed by the same rule.

    Raises FetchRefused and FetchFailed.
    """
    for _ in range(_HOPS):
        if not _allowed(url, configuration.reply.api, hosts):
            raise FetchRefused("it is at an address that is not the platform's")
        try:
            sent = {"Accept-Encoding": "identity", **(headers or {})}
            async with (
                asyncio.timeout(_DOWNLOAD),
                client.stream("GET", url, headers=sent, timeout=PATIENCE, follow_redirects=False) as response,
            ):
                if not response.is_redirect:
                    return await _content(response, configuration)
                url = str(httpx.URL(url).join(response.headers["location"]))
        except _BROKEN as error:
            raise FetchFailed(f"no answer ({type(error).__name__})", True) from None
    raise FetchRefused("it is redirected again and again")


async def _content(response: httpx.Response, configuration: Configuration) -> bytes:
    limits = configuration.limits
    if response.status_code != 200:
        wait = _wait(response.headers.get("retry-after"), {})
        _not_found(response.status_code, f"{response.status_code} instead of the content", wait)
    content = bytearray()
    length = response.headers.get("content-length", "")
    if length.isdecimal() and int(length[:20]) > limits.attachment:
        raise FetchRefused(too_large(limits))
    async for chunk in response.aiter_bytes():
        content += chunk
        if len(content) > limits.attachment:
            raise FetchRefused(too_large(limits))
    return bytes(content)


def secret(secrets: Mapping[str, str], variable: str | None) -> str | None:
    """The value of a variable, None when there is none; surrounding space is never part of a secret."""
    value = secrets.get(variable, "").strip() if variable else ""
    return value or None


def hidden(text: str, secrets: Mapping[str, str]) -> str:
    for value in sorted((value.strip() for value in secrets.values()), key=len, reverse=True):
        if value:
            text = text.replace(value, "•••")
    return text[:500]


def _not_found(status: int, reason: str, wait: float | None) -> None:
    if status in _LATER or status >= 500:
        raise FetchFailed(reason, True, wait)
    if status in _CREDENTIALS:
        raise FetchFailed(reason, False)
    raise FetchRefused(reason)


def _allowed(url: str, api: str | None, hosts: tuple[str, ...]) -> bool:
    try:
        there = httpx.URL(url)
        own = httpx.URL(api) if api else None
    except httpx.InvalidURL:
        return False
    if there.userinfo:
        return False
    if own is not None and (there.scheme, there.host, there.port) == (own.scheme, own.host, own.port):
        return True
    known = any(there.host == host or there.host.endswith(f".{host}") for host in hosts)
    return there.scheme == "https" and there.port is None and known


def _object(content: bytes) -> dict[str, Any]:
    try:
        value = msgspec.json.decode(content)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return {}
    return cast(dict[str, Any], value) if isinstance(value, dict) else {}


def _wait(header: str | None, fields: Mapping[str, Any]) -> float | None:
    """Seconds, of `Retry-After` (RFC 9110, 10.2.3), Telegram's `parameters.retry_after` or Discord's `retry_after`."""
    parameters = fields.get("parameters")
    inner = cast(dict[str, Any], parameters).get("retry_after") if isinstance(parameters, dict) else None
    for said in (inner, fields.get("retry_after"), header):
        seconds = _seconds(said)
        if seconds is not None:
            return min(max(seconds, 0.0), _LONGEST_WAIT)
    return None


def _seconds(said: object) -> float | None:
    if not isinstance(said, (int, float, str)) or isinstance(said, bool):
        return None
    try:
        seconds = float(said)
    except ValueError:
        try:
            seconds = parsedate_to_datetime(str(said)).timestamp() - time.time()
        except (ValueError, TypeError, IndexError, OverflowError):
            return None
    except OverflowError:
        return None
    return seconds if math.isfinite(seconds) else None
