"""Counters that a Prometheus server keeps, read for a canary's verdict.

https://prometheus.io/docs/prometheus/latest/querying/api/: instant queries, and what they answer.
"""

from __future__ import annotations

import asyncio
import math
import ssl
import time
from collections.abc import Iterable
from functools import cached_property
from typing import Final, Literal

import httpx
import msgspec
from msgspec import Raw, Struct

from domain.analysis import PrometheusCounters
from domain.canary import Pair
from domain.measurement import Sample
from sagas.looking import MetricUnavailable

_LONGEST: Final = 1 << 20
"""Bytes of an answer: four numbers need a thousand; an expression that matches the whole fleet is a mistake."""
_EXACT: Final = float(1 << 53)
"""From here on Prometheus' floats do not hold every whole number."""
_SHOWN: Final = 200


class _Answer(Struct, frozen=True, rename="camel"):
    """`data` may have another form with an error. `warnings`: the data are not complete."""

    status: Literal["success", "error"]
    data: Raw = Raw(b"null")
    error_type: str = ""
    error: str = ""
    warnings: tuple[str, ...] = ()


class _Series(Struct, frozen=True):
    """`value` is when, and what; a native histogram has none."""

    value: tuple[float, str] | None = None


class _Vector(Struct, frozen=True, tag_field="resultType", tag="vector"):
    result: tuple[_Series, ...]


class _Scalar(Struct, frozen=True, tag_field="resultType", tag="scalar"):
    result: tuple[float, str]


class _Text(Struct, frozen=True, tag_field="resultType", tag="string"):
    pass


class _Matrix(Struct, frozen=True, tag_field="resultType", tag="matrix"):
    pass


_Data = _Vector | _Scalar | _Text | _Matrix


class _Unusable(Exception):
    """What came instead of a count."""


class PrometheusReader:
    """Implements `sagas.looking.ReadCounters`; `patience` is in seconds, for all that is asked at one look.

    A server is asked directly, without proxies, and where it redirects to is not followed. Nothing is kept between
    looks, so there is nothing to close.
    """

    def __init__(self, patience: float = 5.0) -> None:
        self._patience = patience

    async def __call__(self, counters: PrometheusCounters) -> Pair:
        """What they count now, fractions rounded down. Raises MetricUnavailable, and nothing else.

        Nothing found is 0 bad events, as a counter does not exist before it counts; of all events it is no data.
        """
        moment = {"time": f"{time.time():.3f}", "timeout": f"{self._patience:g}s"}
        expressions = {
            "canary_total": counters.canary_total,
            "canary_bad": counters.canary_bad,
            "baseline_total": counters.baseline_total,
            "baseline_bad": counters.baseline_bad,
        }
        server = "Prometheus"
        try:
            url, user = _endpoint(counters.url)
            server = f"Prometheus at {url.scheme}://{url.netloc.decode()}"
            async with asyncio.timeout(self._patience), self._client(url, user) as client:
                asked = (_count(client, url, moment, *each) for each in expressions.items())
                found = await asyncio.gather(*asked, return_exceptions=True)
            canary_total, canary_bad, baseline_total, baseline_bad = _all_found(found)
        except TimeoutError:
            raise MetricUnavailable(f"{server} does not answer within {self._patience:g} s") from None
        except (httpx.HTTPError, httpx.InvalidURL, OSError, ValueError) as error:
            raise MetricUnavailable(f"{server}: {_line(str(error)) or type(error).__name__}") from error
        return Pair(_sample("canary", canary_total, canary_bad), _sample("baseline", baseline_total, baseline_bad))

    def _client(self, url: httpx.URL, user: httpx.BasicAuth | None) -> httpx.AsyncClient:
        verify = self._trusted if url.scheme == "https" else False
        return httpx.AsyncClient(auth=user, trust_env=False, verify=verify, follow_redirects=False, timeout=None)

    @cached_property
    def _trusted(self) -> ssl.SSLContext:
        """Read once, as that takes as long as many looks. SSL_CERT_FILE and SSL_CERT_DIR name other authorities."""
        return httpx.create_ssl_context()


def _endpoint(url: str) -> tuple[httpx.URL, httpx.BasicAuth | None]:
    """Below the path and with the parameters of the given one; its user apart, as httpx logs the URLs that it asks.

    Raises MetricUnavailable, InvalidURL.
    """
    base = httpx.URL(url)
    if base.scheme not in ("http", "https") or not base.host or (base.port or 0) > 65535:
        raise MetricUnavailable("the url must be http(s)://host[:port][/path]")
    user = httpx.BasicAuth(base.username, base.password) if base.userinfo else None
    return base.copy_with(path=base.path.rstrip("/") + "/api/v1/query", fragment=None, userinfo=b""), user


async def _count(client: httpx.AsyncClient, url: httpx.URL, moment: dict[str, str], name: str, expression: str) -> int:
    """Raises MetricUnavailable, and what httpx raises."""
    asking = url.copy_merge_params({**moment, "query": expression})
    async with client.stream("GET", asking) as response:
        body = bytearray()
        async for chunk in response.aiter_bytes():
            body += chunk
            if len(body) > _LONGEST:
                break
    try:
        if len(body) > _LONGEST:
            raise _Unusable(f"an answer of more than {_LONGEST} bytes")
        value = _value(response.status_code, bytes(body))
        return _whole(value, missing=0 if name.endswith("_bad") else None)
    except _Unusable as came:
        raise MetricUnavailable(f"{name} ({_line(expression)}): {_line(str(came))}") from None


def _value(status: int, body: bytes) -> str | None:
    """The only number in an answer; None: nothing was found. Raises _Unusable."""
    try:
        answer = msgspec.json.decode(body, type=_Answer)
        if answer.status == "error":
            raise _Unusable(f"{answer.error_type}: {answer.error}")
        if answer.warnings:
            raise _Unusable(f"a warning: {'; '.join(answer.warnings)}")
        data: _Data = msgspec.json.decode(answer.data, type=_Data)
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        raise _Unusable(_no_answer(status)) from None
    if not 200 <= status < 300:
        raise _Unusable(_no_answer(status))
    match data:
        case _Scalar((_, value)) | _Vector((_Series((_, value)),)):
            return value
        case _Vector(()):
            return None
        case _Vector((_,)):
            raise _Unusable("a histogram, not a number")
        case _Vector(several):
            raise _Unusable(f"{len(several)} samples, not one: is a sum() missing?")
        case _Text() | _Matrix():
            raise _Unusable(f"a {data.__struct_config__.tag}, not a number")


def _no_answer(status: int) -> str:
    if 300 <= status < 400:
        return f"status {status}, and redirects are not followed"
    return f"status {status}, and no answer of Prometheus' HTTP API"


def _whole(value: str | None, *, missing: int | None) -> int:
    """Raises _Unusable."""
    if value is None:
        if missing is None:
            raise _Unusable("no data")
        return missing
    try:
        number = float(value)
    except ValueError:
        raise _Unusable(f"{value!r}, not a number") from None
    if not 0 <= number < _EXACT:  # nor is NaN
        raise _Unusable(f"{value}, not a count")
    return math.floor(number)


def _all_found(found: Iterable[int | BaseException]) -> list[int]:
    """Raises the first other error, or MetricUnavailable with all that is wrong."""
    counts: list[int] = []
    faults: list[str] = []
    for each in found:
        match each:
            case int():
                counts.append(each)
            case MetricUnavailable():
                faults.append(str(each))
            case BaseException():
                raise each
    if faults:
        raise MetricUnavailable("; ".join(faults))
    return counts


def _sample(arm: str, total: int, bad: int) -> Sample:
    if bad > total:
        raise MetricUnavailable(f"{arm}_bad is {bad}, more than {arm}_total: {total}")
    return Sample(total, bad)


def _line(text: str) -> str:
    """What others wrote, in one line of a bearable length."""
    line = "".join(each if each.isprintable() else " " for each in text)
    line = " ".join(line.split())
    return line if len(line) <= _SHOWN else f"{line[: _SHOWN - 1]}…"
