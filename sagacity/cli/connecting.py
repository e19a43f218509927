"""Where the platform and its log are, and the HTTP API with every failure as one line for people."""

from __future__ import annotations

import asyncio
import functools
import os
from collections.abc import AsyncGenerator, Callable, Coroutine, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import click
import httpx

from sagacity.cli import UserError

T = TypeVar("T")

_DEFAULT_URL = "http://127.0.0.1:8000"


class ApiPlace(NamedTuple):
    """Where the user said that the platform is, and who asks; None was not said."""

    url: str | None
    data: str | None
    actor: str | None


class LogPlace(NamedTuple):
    """Where the user said that the log is; None was not said."""

    nats_url: str | None
    data: str | None


class Problem(UserError):
    """What the API refused, and why (problem+json)."""

    def __init__(self, status: int, body: Mapping[str, Any]) -> None:
        super().__init__(_sentence(status, body))
        self.status = status
        self.body = body


class Unreachable(UserError):
    """Nothing answers, or not in time, or not to the end."""


def api_options(command: Callable[..., Any], *, data: str = "--data") -> Callable[..., Any]:
    """--url, --data (or what `data` calls it) and --actor, given to the command as `target`."""

    @functools.wraps(command)
    def with_place(*arguments: Any, url: str | None, actor: str | None, **options: Any) -> Any:
        directory, older = options.pop("directory"), options.pop("older", None)
        return command(*arguments, target=ApiPlace(url, directory or older, actor), **options)

    url_option = click.option("--url", metavar="URL", help=f"The platform's URL ({_DEFAULT_URL}).")
    data_option = click.option(data, "directory", metavar="DIR", help="Data directory of a platform, instead of --url.")
    actor_option = click.option("--actor", metavar="NAME", help="Who asks ($USER).")
    if data == "--data":  # some commands called it otherwise once
        with_place = click.option("--directory", "older", hidden=True)(with_place)
    return url_option(data_option(actor_option(with_place)))


def log_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """--nats and --data, given to the command as `target`."""

    @functools.wraps(command)
    def with_place(*arguments: Any, nats_url: str | None, data: str | None, **options: Any) -> Any:
        return command(*arguments, target=LogPlace(nats_url, data), **options)

    nats_option = click.option("--nats", "--nats-url", "nats_url", metavar="URL", help="NATS servers of the log.")
    data_option = click.option("--data", metavar="DIR", help="Data directory, its platform running or not (.sagacity).")
    return nats_option(data_option(with_place))


def run(work: Coroutine[Any, Any, T]) -> T:
    """Carry it out. Raises UserError for whatever HTTP has to say."""
    try:
        return asyncio.run(work)
    except (httpx.HTTPError, httpx.InvalidURL, httpx.StreamError) as error:
        raise UserError(f"the call failed: {error or type(error).__name__}") from error


class Api:
    """Calls below /api/v1 raise Problem for refusals and UserError when nothing (sensible) answers."""

    def __init__(self, client: httpx.AsyncClient, url: str) -> None:
        self.client = client
        self.url = url

    async def get(self, path: str, **query: Any) -> Any:
        answer = await self.send("GET", path, query)
        return _json(self.url, answer)

    async def post(self, path: str, body: bytes = b"") -> Any:
        answer = await self.send("POST", path, {}, body)
        return _json(self.url, answer)

    async def send(self, method: str, path: str, query: Mapping[str, Any], body: bytes = b"") -> httpx.Response:
        headers = {"Content-Type": "application/json"} if body else {}
        given = {name: value for name, value in query.items() if value is not None}
        try:
            # Given none, httpx leaves the query that a path came with; given an empty one, it takes it away.
            params = given or None
            answer = await self.client.request(method, path, params=params, content=body, headers=headers)
        except httpx.HTTPError as error:
            raise unreachable(self.url, error) from error
        if answer.status_code >= 400:
            raise problem_of(self.url, answer)
        return answer


@asynccontextmanager
async def open_api(place: ApiPlace, *, timeout: float = 40.0) -> AsyncGenerator[Api]:
    """`timeout`: seconds for one answer. Raises UserError."""
    url = url_of(place, os.environ)
    headers = {"X-Actor": actor_of(place, os.environ)}
    async with httpx.AsyncClient(base_url=url, headers=headers, timeout=httpx.Timeout(timeout, connect=5.0)) as client:
        yield Api(client, url)


def url_of(place: ApiPlace, environ: Mapping[str, str]) -> str:
    """--url, --data, SAGACITY_URL, SAGACITY_DATA, the platform of this directory, the default: the first one given.
    Raises UserError where a directory was named whose platform does not run: another one is not what was meant."""
    if place.url is not None:
        return _checked(place.url, "--url")
    if place.data is not None:
        return _named(Path(place.data))
    if "SAGACITY_URL" in environ:
        return _checked(environ["SAGACITY_URL"], "SAGACITY_URL")
    if "SAGACITY_DATA" in environ:
        return _named(Path(environ["SAGACITY_DATA"]))
    return _url_in(Path(".sagacity")) or _DEFAULT_URL


def actor_of(place: ApiPlace, environ: Mapping[str, str]) -> str:
    """Raises UserError for a name that no HTTP header can carry; nobody chose the one that the system gives."""
    if place.actor is None:
        user = environ.get("USER", "")
        return user if _fits_a_header(user) else "anonymous"
    if not _fits_a_header(place.actor):
        raise UserError(f"--actor: must be plain printable characters (given: {place.actor!r})")
    return place.actor


def _fits_a_header(name: str) -> bool:
    return name.isascii() and name.isprintable() and bool(name.strip())


def problem_of(url: str, answer: httpx.Response) -> UserError:
    try:
        body = answer.json()
    except ValueError:
        body = None
    if not isinstance(body, dict):
        return UserError(f"{url} answers with status {answer.status_code} and no problem document: is that Sagacity?")
    return Problem(answer.status_code, body)  # pyright: ignore[reportUnknownArgumentType]


def unreachable(url: str, error: httpx.HTTPError) -> Unreachable:
    if isinstance(error, httpx.ConnectError | httpx.ConnectTimeout):
        return Unreachable(
            f"nothing answers at {url}: start the platform with `sagacity up`, or name another with --url"
        )
    if isinstance(error, httpx.TimeoutException):
        return Unreachable(f"{url} did not answer in time")
    return Unreachable(f"the connection to {url} failed: {error or type(error).__name__}")


def _named(data: Path) -> str:
    """Raises UserError."""
    url = _url_in(data)
    if url is None:
        raise UserError(f"no platform runs in {data}: start it with `sagacity up --data {data}`")
    if not url:
        raise UserError(f"the platform in {data} runs without its api role: name the one that has it with --url")
    return url


def _url_in(data: Path) -> str | None:
    """Empty without the api role, None where no platform runs."""
    try:
        return (data / "run" / "url").read_text().strip()
    except OSError:
        return None


def _checked(url: str, where: str) -> str:
    try:
        parsed = httpx.URL(url)
    except httpx.InvalidURL as error:
        raise UserError(f"{where}: is no URL: {error} (given: {url!r})") from error
    if parsed.scheme not in ("http", "https") or not parsed.host:
        raise UserError(f"{where}: must be http://host… or https://host… (given: {url!r})")
    return url.rstrip("/")


def _json(url: str, answer: httpx.Response) -> Any:
    try:
        return answer.json()
    except ValueError as error:
        raise UserError(f"{url} does not answer with JSON: is that Sagacity?") from error


def _sentence(status: int, body: Mapping[str, Any]) -> str:
    """Title, detail and every fault of a problem document, in one line."""
    faults: list[Mapping[str, Any]] = body.get("faults") or []
    named = [f"{fault.get('where') or '/'}: {fault.get('what')}" for fault in faults]
    text = "; ".join(named) or body.get("detail") or body.get("title") or "no reason given"
    return f"{text} (status {status})"
