"""Whether something answers over HTTP, and as it should."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from time import perf_counter
from typing import Annotated, Any, Final, Literal

from msgspec import UNSET, Meta, Struct

from domain.skill import RetryPolicy
from skills.offline.addresses import addresses_of, is_metadata_service, never_asked
from skills.offline.http_answer import LARGEST, Answer, compiled, faults_of
from skills.offline.secret_headers import Open, Variable, check_open, revealed, without
from skills.skill import Context, SkillFailed, skill

_REDIRECTS: Final = 5
_MOVED: Final = frozenset({301, 302, 303, 307, 308})


class Check(Struct, frozen=True, forbid_unknown_fields=True):
    """`redirects`: which are followed. `value` is what the JMESPath expression `jmespath` is to find in the JSON of the
    answer; without it, it is to find anything at all. `slowest` and `timeout` in seconds. `secret_headers` name
    variables of the worker, which begin with HTTP_CHECK_ and hold a host and a value."""

    url: Annotated[str, Meta(max_length=4_000)]
    method: Literal["GET", "HEAD"] = "GET"
    status: Annotated[tuple[Annotated[int, Meta(ge=100, le=599)], ...], Meta(min_length=1)] = (200,)
    contains: str = ""
    jmespath: str = ""
    value: Any = UNSET
    slowest: Annotated[float, Meta(gt=0, le=300)] | None = None
    timeout: Annotated[float, Meta(gt=0, le=60)] = 10.0
    headers: Open = {}
    secret_headers: dict[str, Variable] = {}
    redirects: Literal["none", "same_host", "any"] = "same_host"

    def __post_init__(self) -> None:
        check_open(self.headers)


class Checked(Struct, frozen=True):
    """`faults` are all that is wrong; `status` is None where nothing answered. `milliseconds` until the answer was
    read; `url` is where it came from."""

    passed: bool
    faults: tuple[str, ...]
    status: int | None
    milliseconds: float
    bytes: int
    url: str


@skill(
    "http_check",
    capabilities=("check", "http", "monitoring"),
    scaling="event_driven",
    timeout=90.0,
    retry=RetryPolicy(attempts=2),
    effects=False,
)
async def http_check(asked: Check, context: Context) -> Checked:
    """Asks a URL and tells whether status, body, JSON and time are as they should be, with the latency. An address
    that does not answer is a result, not a failure. Redirections stay on the same host unless asked for otherwise."""
    import httpx

    if context.security.network is False:
        raise SkillFailed("the network is not granted", retryable=False)
    expression = compiled(asked.jmespath)
    _check_url(asked.url)
    secrets = revealed(asked.secret_headers, httpx.URL(asked.url), os.environ)
    begun = perf_counter()
    try:
        answer = await _asked(asked, secrets)
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        reason = f"no answer: {type(error).__name__} {error}".strip()[:500]
        return Checked(False, (reason,), None, _since(begun), 0, asked.url)
    spent = _since(begun)
    faults = tuple(without(secrets.values(), fault) for fault in faults_of(asked, answer, spent, expression))
    url = without(secrets.values(), answer.url)
    return Checked(not faults, faults, answer.status, spent, len(answer.body), url)


async def _asked(asked: Check, secrets: Mapping[str, str]) -> Answer:
    """Raises httpx.HTTPError, SkillFailed."""
    import asyncio

    import httpx

    # Connections are made by address: one that is kept might be used again for another host there.
    limits = httpx.Limits(max_keepalive_connections=0)
    async with httpx.AsyncClient(trust_env=False, timeout=asked.timeout, limits=limits) as client:
        try:
            async with asyncio.timeout(asked.timeout):
                return await _followed(client, asked, secrets)
        except TimeoutError as error:
            raise httpx.ReadTimeout(f"not answered after {asked.timeout:g} s") from error


async def _followed(client: Any, asked: Check, secrets: Mapping[str, str]) -> Answer:
    """Raises httpx.HTTPError, SkillFailed."""
    import httpx

    url, answer = httpx.URL(asked.url), None
    for _ in range(_REDIRECTS):
        never, addresses = await _looked_up(url)
        if never and answer is None:
            raise SkillFailed(f"{url.host} has {never}", retryable=False)
        if never and answer is not None:
            return answer._replace(kept=f"it leads to {url.host}, which has {never}")
        answer, aim = await _once(client, asked, url, addresses, secrets)
        if aim is None:
            return answer
        kept = _stays(aim, url, asked)
        if kept:
            return answer._replace(kept=kept)
        url = aim
    raise httpx.TooManyRedirects(f"more than {_REDIRECTS} redirections")


async def _looked_up(url: Any) -> tuple[str, tuple[str, ...]]:
    """Why it is not asked, or its addresses. Raises httpx.ConnectError."""
    import httpx

    if is_metadata_service(url.host):
        return "what a cloud tells its machines: that is not asked", ()
    try:
        found = await addresses_of(url.raw_host.decode("ascii"), url.port or (443 if url.scheme == "https" else 80))
    except OSError as error:
        raise httpx.ConnectError(str(error)) from error
    return never_asked(found), found


def _stays(aim: Any, url: Any, asked: Check) -> str:
    """Why a redirection is not followed."""
    if aim.host != url.host and asked.redirects == "same_host":
        return f"it leads to another host: {aim.host}"
    return _unusable(aim)


async def _once(
    client: Any, asked: Check, url: Any, addresses: Sequence[str], secrets: Mapping[str, str]
) -> tuple[Answer, Any]:
    """From the first of the addresses that takes a connection: a name that is looked up again may have others by then.
    Raises httpx.HTTPError."""
    import httpx

    for address in addresses[:-1]:
        try:
            return await _at(client, asked, url, address, secrets)
        except httpx.ConnectError:
            continue
    return await _at(client, asked, url, addresses[-1], secrets)


async def _at(client: Any, asked: Check, url: Any, address: str, secrets: Mapping[str, str]) -> tuple[Answer, Any]:
    """The answer, and where it leads to if that is to be followed. Headers are for the host that was named only, and
    secret ones for the same port of it, in no other protocol."""
    import httpx

    first, headers = httpx.URL(asked.url), httpx.Headers({"Host": url.netloc.decode("ascii")})
    headers.update(asked.headers if url.host == first.host else {})
    headers.update(secrets if (url.scheme, url.netloc) == (first.scheme, first.netloc) else {})
    there, name = url.copy_with(host=address), {"sni_hostname": url.raw_host.decode("ascii")}
    async with client.stream(asked.method, there, headers=headers, extensions=name) as response:
        body = bytearray()
        async for part in response.aiter_bytes():
            body += part
            if len(body) > LARGEST:
                break
        answer = Answer(response.status_code, bytes(body[:LARGEST]), len(body) <= LARGEST, str(url))
        follow = asked.redirects != "none" and response.status_code in _MOVED and "location" in response.headers
        return answer, url.join(response.headers["location"]) if follow else None


def _check_url(url: str) -> None:
    """Raises SkillFailed."""
    import httpx

    try:
        wrong = _unusable(httpx.URL(url))
    except httpx.InvalidURL as error:
        raise SkillFailed(f"no URL: {error}", retryable=False) from error
    if wrong:
        raise SkillFailed(wrong, retryable=False)


def _unusable(url: Any) -> str:
    """Why it cannot be asked."""
    if url.userinfo:
        return "a URL must hold no password, which would stay on the record: name a variable in `secret_headers`"
    usable = url.scheme in ("http", "https") and url.host
    return "" if usable else "a URL must begin with http:// or https:// and name a host"


def _since(begun: float) -> float:
    return round((perf_counter() - begun) * 1_000, 3)
