"""Files that come in as a body, as they are or in a form; what they hold is read elsewhere."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, NamedTuple
from urllib.parse import urlsplit

from litestar import Request
from litestar.datastructures import UploadFile
from litestar.exceptions import ClientException
from litestar.exceptions.http_exceptions import RequestEntityTooLarge

from api.problems import BodyRefused
from models.data.tables import Format

LARGEST: Final = 64 * 1024 * 1024
"""Bytes of a body."""

FORM: Final = "multipart/form-data"
FORMATS: Final[Mapping[str, Format]] = {
    "text/csv": "csv",
    "application/vnd.apache.parquet": "parquet",
    "application/x-parquet": "parquet",
    "application/x-ndjson": "ndjson",
}
"""By content type."""

_ENDINGS: Final[Mapping[str, Format]] = {
    ".csv": "csv",
    ".parquet": "parquet",
    ".ndjson": "ndjson",
    ".jsonl": "ndjson",
}
"""By the end of a file's name."""

_UTF_8: Final = frozenset({"utf-8", "utf8", "us-ascii", "ascii"})
_PATIENCE: Final = 2
"""How many times the largest body is taken in and forgotten before its sender is cut off."""


class Upload(NamedTuple):
    """`file_name` is the form's, else empty."""

    content: bytes
    format: Format
    file_name: str = ""


async def read_upload(request: Request[Any, Any, Any]) -> Upload:
    """Raises BodyRefused: what is too large, of another kind, or no form with one file in it."""
    kind, parameters = request.content_type
    charset = parameters.get("charset", "utf-8")
    if kind not in FORMATS and kind != FORM:
        known = ", ".join((*FORMATS, FORM))
        raise BodyRefused("unsupported-media-type", 415, f"{kind[:100]!r} is no table; known: {known}")
    if charset.lower() not in _UTF_8:
        raise BodyRefused("unsupported-media-type", 415, f"{charset[:100]!r} is not read; only UTF-8 is")
    try:
        return await _from_form(request) if kind == FORM else Upload(await request.body(), FORMATS[kind])
    except RequestEntityTooLarge as error:
        await _forget_the_rest(request)
        raise BodyRefused("too-large", 413, f"at most {LARGEST} bytes") from error


async def _from_form(request: Request[Any, Any, Any]) -> Upload:
    _check_origin(request.headers)
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


def _check_origin(headers: Mapping[str, str]) -> None:
    """A page of any other site could send a form to this machine, without being asked by its browser whether it may."""
    origin = headers.get("origin")
    if origin is not None and urlsplit(origin).netloc != headers.get("host"):
        raise BodyRefused("other-origin", 403, f"forms are not taken from pages of {origin[:100]!r}")


def _format_of(file_name: str) -> Format:
    for ending, format in _ENDINGS.items():
        if file_name.lower().endswith(ending):
            return format
    raise BodyRefused(
        "unsupported-media-type", 415, f"{file_name[:100]!r} does not end as a table does: {', '.join(_ENDINGS)}"
    )


async def _forget_the_rest(request: Request[Any, Any, Any]) -> None:
    """Who is answered while still sending may see a broken connection instead of the answer."""
    size, more = 0, True
    while more and size <= _PATIENCE * LARGEST:
        message: Any = await request.receive()
        size += len(message.get("body", b""))
        more = message.get("more_body", False)
