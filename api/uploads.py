"""Files that come in as a body, as they are or in a form; what they hold is read elsewhere."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager, suppress
from typing import Any, Final, NamedTuple
from urllib.parse import urlsplit

from litestar import Request
from litestar.datastructures import UploadFile
from litestar.exceptions import ClientException
from litestar.exceptions.http_exceptions import RequestEntityTooLarge

from api.problems import BodyRefused
from models.data.formats import ENDINGS, MEDIA_TYPES, Format
from models.serve.errors import Overloaded

LARGEST: Final = 64 * 1024 * 1024
"""Bytes of a body."""

FORM: Final = "multipart/form-data"
_UTF_8: Final = frozenset({"utf-8", "utf8", "us-ascii", "ascii"})
_PATIENCE: Final = 2
"""How many times the largest body is taken in and forgotten before its sender is cut off."""

SLOWEST: Final = 300.0
"""Seconds for a body to come in: until then it has a place that others wait for."""


class Upload(NamedTuple):
    """`file_name` is the form's, else empty."""

    content: bytes
    format: Format
    file_name: str = ""


class Places:
    """So many uploads have one at a time; `waiting` more wait, without being read, in the order in which they came."""

    def __init__(self, places: int, waiting: int) -> None:
        self._free = asyncio.Semaphore(places)
        self._room = waiting

    @asynccontextmanager
    async def one(self, request: Request[Any, Any, Any]) -> AsyncGenerator[None]:
        """Raises Overloaded."""
        if self._free.locked() and not self._room:
            await forget_the_rest(request)
            raise Overloaded("too many uploads are waiting already")
        self._room -= 1
        try:
            await self._free.acquire()
        finally:
            self._room += 1
        try:
            yield
        finally:
            self._free.release()


async def read_upload(request: Request[Any, Any, Any]) -> Upload:
    """Raises BodyRefused: what is too large, of another kind, or no form with one file in it."""
    kind, parameters = request.content_type
    charset = parameters.get("charset", "utf-8")
    if kind not in MEDIA_TYPES and kind != FORM:
        known = ", ".join((*MEDIA_TYPES, FORM))
        raise BodyRefused("unsupported-media-type", 415, f"{kind[:100]!r} is no table; known: {known}")
    if charset.lower() not in _UTF_8:
        raise BodyRefused("unsupported-media-type", 415, f"{charset[:100]!r} is not read; only UTF-8 is")
    try:
        async with asyncio.timeout(SLOWEST):
            return await _from_form(request) if kind == FORM else Upload(await request.body(), MEDIA_TYPES[kind])
    except RequestEntityTooLarge as error:
        await forget_the_rest(request)
        raise BodyRefused("too-large", 413, f"at most {LARGEST} bytes") from error
    except TimeoutError as error:
        raise BodyRefused("too-slow", 408, f"the body did not come in within {SLOWEST:g} s") from error


async def _from_form(request: Request[Any, Any, Any]) -> Upload:
    check_origin(request.headers)
    try:
        form = await request.form()
    except RequestEntityTooLarge:
        raise
    except (ClientException, UnicodeDecodeError, LookupError) as error:
        raise BodyRefused("malformed", 400, "the form cannot be read") from error
    parts = list(form.multi_items())
    match parts:
        case [("file", UploadFile() as file)]:
            content = await file.read()
            await file.close()
            return Upload(content, _format_of(file.filename), _name_of(file.filename))
        case _:
            named = ", ".join(sorted({repr(name[:100]) for name, _ in parts})) or "nothing"
            raise BodyRefused(
                "malformed", 400, f"the form must have one file called 'file', and no more: it has {named}"
            )


def _name_of(file_name: str) -> str:
    """Without what no name can have on the record."""
    return file_name.replace("\0", "")[:200]


def check_origin(headers: Mapping[str, str]) -> None:
    """Raises BodyRefused: a page of any other site could send a form to this machine, without being asked by its
    browser whether it may."""
    origin = headers.get("origin")
    if origin is not None and urlsplit(origin).netloc != headers.get("host"):
        raise BodyRefused("other-origin", 403, f"forms are not taken from pages of {origin[:100]!r}")


def _format_of(file_name: str) -> Format:
    for ending, format in ENDINGS.items():
        if file_name.lower().endswith(ending):
            return format
    raise BodyRefused(
        "unsupported-media-type", 415, f"{file_name[:100]!r} does not end as a table does: {', '.join(ENDINGS)}"
    )


async def forget_the_rest(request: Request[Any, Any, Any]) -> None:
    """Who is answered while still sending may see a broken connection instead of the answer."""
    size, more = 0, True
    with suppress(TimeoutError):
        async with asyncio.timeout(SLOWEST):
            while more and size <= _PATIENCE * LARGEST:
                message: Any = await request.receive()
                size += len(message.get("body", b""))
                more = message.get("more_body", False)
