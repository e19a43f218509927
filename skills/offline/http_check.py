"""Whether something answers over HTTP, and as it should."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from time import perf_counter
from typing import Annotated, Any, Final, Literal, NamedTuple

from msgspec import UNSET, Meta, Struct, UnsetType

from domain.skill import RetryPolicy
from skills.offline.addresses import addresses_of, never_asked
from skills.skill import Context, SkillFailed, skill

_LARGEST: Final = 1_000_000
"""Bytes of an answer that are read."""

_REDIRECTS: Final = 5
_MOVED: Final = frozenset({301, 302, 303, 307, 308})


class Check(Struct, frozen=True, forbid_unknown_fields=True):
    """`redirects`: which are followed. `value` is what the JMESPath expression `jmespath` is to find in the JSON of the
    answer; without it, it is to find anything at all. `slowest` and `timeout` in seconds."""

    url: Annotated[str, Meta(max_length=4_000)]
    method: Literal["GET", "HEAD"] = "GET"
    status: Annotated[tuple[Annotated[int, Meta(ge=100, le=599)], ...], Meta(min_length=1)] = (200,)
    contains: str = ""
    jmespath: str = ""
    value: Any = UNSET
    slowest: Annotated[float, Meta(gt=0, le=300)] | None = None
    timeout: Annotated[float, Meta(gt=0, le=60)] = 10.0
    headers: dict[str, str] = {}
    redirects: Literal["none", "same_host", "any"] = "same_host"


class Checked(Struct, frozen=True):
    """`faults` are all that is wrong; `status` is None where nothing answered. `milliseconds` until the answer was
    read; `url` is where it came from."""

    passed: bool
    faults: tuple[str, ...]
    status: int | None
    milliseconds: float
    bytes: int
    url: str


class _Answer(NamedTuple):
    status: int
    body: bytes
    whole: bool
    url: str
    kept: str = ""
    """Why a redirection was not followed."""


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
    expression = _compiled(asked.jmespath)
    _check_url(asked.url)
    begun = perf_counter()
    try:
        answer = await _asked(asked)
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        reason = f"no answer: {type(error).__name__} {error}".strip()[:500]
        return Checked(False, (reason,), None, _since(begun), 0, asked.url)
    spent = _since(begun)
    faults = tuple(_faults(asked, answer, spent, expression))
    return Checked(not faults, faults, answer.status, spent, len(answer.body), answer.url)


async def _asked(asked: Check) -> _Answer:
    """Raises httpx.HTTPError, SkillFailed."""
    import asyncio

    import httpx

    # Connections are made by address: one that is kept might be used again for another host there.
    limits = httpx.Limits(max_keepalive_connections=0)
    async with httpx.AsyncClient(trust_env=False, timeout=asked.timeout, limits=limits) as client:
        try:
            async with asyncio.timeout(asked.timeout):
                return await _followed(client, asked)
        except TimeoutError as error:
            raise httpx.ReadTimeout(f"not answered after {asked.timeout:g} s") from error


async def _followed(client: Any, asked: Check) -> _Answer:
    """Raises httpx.HTTPError, SkillFailed."""
    import httpx

    url, answer = httpx.URL(asked.url), None
    for _ in range(_REDIRECTS):
        addresses = await _addresses(url)
        never = never_asked(addresses)
        if never and answer is None:
            raise SkillFailed(f"{url.host} has {never}", retryable=False)
        if never and answer is not None:
            return answer._replace(kept=f"it leads to {url.host}, which has {never}")
        answer, aim = await _once(client, asked, url, addresses)
        if aim is None:
            return answer
        kept = _stays(aim, url, asked)
        if kept:
            return answer._replace(kept=kept)
        url = aim
    raise httpx.TooManyRedirects(f"more than {_REDIRECTS} redirections")


async def _addresses(url: Any) -> tuple[str, ...]:
    """Raises httpx.ConnectError."""
    import httpx

    try:
        return await addresses_of(url.raw_host.decode("ascii"), url.port or (443 if url.scheme == "https" else 80))
    except OSError as error:
        raise httpx.ConnectError(str(error)) from error


def _stays(aim: Any, url: Any, asked: Check) -> str:
    """Why a redirection is not followed."""
    if aim.host != url.host and asked.redirects == "same_host":
        return f"it leads to another host: {aim.host}"
    return _unusable(aim)


async def _once(client: Any, asked: Check, url: Any, addresses: Sequence[str]) -> tuple[_Answer, Any]:
    """From the first of the addresses that takes a connection: a name that is looked up again may have others by then.
    Raises httpx.HTTPError."""
    import httpx

    for address in addresses[:-1]:
        try:
            return await _at(client, asked, url, address)
        except httpx.ConnectError:
            continue
    return await _at(client, asked, url, addresses[-1])


async def _at(client: Any, asked: Check, url: Any, address: str) -> tuple[_Answer, Any]:
    """The answer, and where it leads to if that is to be followed. Headers, which may be secret, are for the host that
    was named only."""
    import httpx

    headers = httpx.Headers({"Host": url.netloc.decode("ascii")})
    headers.update(asked.headers if url.host == httpx.URL(asked.url).host else {})
    there, name = url.copy_with(host=address), {"sni_hostname": url.raw_host.decode("ascii")}
    async with client.stream(asked.method, there, headers=headers, extensions=name) as response:
        body = bytearray()
        async for part in response.aiter_bytes():
            body += part
            if len(body) > _LARGEST:
                break
        answer = _Answer(response.status_code, bytes(body[:_LARGEST]), len(body) <= _LARGEST, str(url))
        follow = asked.redirects != "none" and response.status_code in _MOVED and "location" in response.headers
        return answer, url.join(response.headers["location"]) if follow else None


def _faults(asked: Check, answer: _Answer, spent: float, expression: Any) -> Iterator[str]:
    if answer.kept:
        yield answer.kept
    if answer.status not in asked.status:
        yield f"status {answer.status}, expected {' or '.join(map(str, asked.status))}"
    if asked.slowest is not None and spent > asked.slowest * 1_000:
        yield f"it took {spent:.0f} ms, at most {asked.slowest * 1_000:.0f} were allowed"
    if not answer.whole:
        yield f"only the first {_LARGEST} bytes were read"
    if asked.contains and asked.contains not in answer.body.decode(errors="replace"):
        yield f"{asked.contains[:200]!r} is not in the body"
    if expression is not None:
        yield from _wrong_value(asked, answer.body, expression)


def _wrong_value(asked: Check, body: bytes, expression: Any) -> Iterator[str]:
    from jmespath.exceptions import JMESPathError

    try:
        found = expression.search(json.loads(body))
    except JMESPathError as error:
        yield f"{asked.jmespath}: {error}"[:500]
        return
    except (ValueError, RecursionError):
        yield "the body is no JSON"
        return
    if isinstance(asked.value, UnsetType):
        if found is None:
            yield f"{asked.jmespath} is not there"
    elif found != asked.value or isinstance(found, bool) != isinstance(asked.value, bool):
        yield f"{asked.jmespath} is {json.dumps(found)[:200]}, expected {json.dumps(asked.value)[:200]}"


def _compiled(expression: str) -> Any:
    if not expression:
        return None
    import jmespath
    from jmespath.exceptions import JMESPathError

    try:
        return jmespath.compile(expression)
    except JMESPathError as error:
        raise SkillFailed(f"jmespath is no JMESPath expression: {error}"[:500], retryable=False) from error


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
    usable = url.scheme in ("http", "https") and url.host
    return "" if usable else "a URL must begin with http:// or https:// and name a host"


def _since(begun: float) -> float:
    return round((perf_counter() - begun) * 1_000, 3)
