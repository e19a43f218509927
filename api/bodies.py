"""From the bytes of a request to a command. The quick way takes what is right; the slow one names all that is wrong."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Final, cast

import jsonschema
import msgspec

from api.problems import BodyRefused
from eventstore.envelope import new_id
from eventstore.subjects import is_valid_id
from handlers.command import CommandRequest, Fault, InvalidCommand
from handlers.routes import Route
from handlers.text import nul_faults, one_line

MAX_BODY: Final = 1_000_000
"""Bytes. A command must fit one message of the log, together with its context."""

_JSON: Final = re.compile(r"\s*application/([\w.-]+\+)?json\s*(;.*)?", re.IGNORECASE)
_LONE_SURROGATE: Final = re.compile(rb"\\u[dD][89a-fA-F]")
_ID: Final = "must be 1 to 128 letters, digits, _ or -"


class StreamReference(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    id: str | None = None
    category: str | None = None


class CommandBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    type: str
    data: msgspec.Raw = msgspec.field(default_factory=lambda: msgspec.Raw(b"{}"))
    id: str | None = None
    stream: StreamReference | str | None = None
    expected_version: Annotated[int, msgspec.Meta(le=2**53)] | None = None


_decode = msgspec.json.Decoder(CommandBody).decode
_shape = jsonschema.Draft202012Validator(msgspec.json.schema(CommandBody))


def read_body(raw: bytes, routes: Mapping[str, Route], idempotency_key: str | None = None) -> CommandRequest:
    """The command, with an id of its own in any case. Raises BodyRefused, or InvalidCommand with every fault."""
    check_text(raw)
    try:
        body = _decode(raw)
    except msgspec.ValidationError as error:
        raise _all_wrong(raw, routes, error) from error
    except msgspec.DecodeError as error:
        raise BodyRefused("malformed", 400, where_malformed(raw, error)) from error
    stream = StreamReference(body.stream) if isinstance(body.stream, str) else body.stream
    id = idempotency_key if body.id is None else body.id
    data = bytes(body.data)
    faults = nul_faults(data)
    if idempotency_key is not None and body.id not in (None, idempotency_key):
        faults.append(Fault("header idempotency-key", "differs from the body's id"))
    if faults:
        raise InvalidCommand(faults)
    return CommandRequest(
        type=body.type,
        data=one_line(data),
        id=new_id() if id is None else id,
        stream_id=stream.id if stream else None,
        stream_category=stream.category if stream else None,
        expected_version=body.expected_version,
    )


def check_kind(kind: str | None) -> None:
    """Raises BodyRefused for a content type that is not JSON's; none counts as JSON's.

    Also the lock on a door: a form on any web page can post text/plain, but not JSON, to this machine.
    """
    if kind is not None and kind != "application/json" and not _JSON.fullmatch(kind):
        raise BodyRefused("unsupported-media-type", 415, f"{kind[:100]!r} is not application/json")


def check_text(raw: bytes, limit: int = MAX_BODY) -> None:
    """Raises BodyRefused for what is too large or no UTF-8."""
    if len(raw) > limit:
        raise BodyRefused("too-large", 413, f"at most {limit} bytes")
    if raw.isascii():
        return
    try:
        raw.decode()
    except UnicodeDecodeError as error:
        raise BodyRefused("malformed", 400, f"byte {error.start} (0x{raw[error.start]:02x}) is not UTF-8") from error


def where_malformed(raw: bytes, error: msgspec.DecodeError) -> str:
    """What is wrong with JSON, and at which byte; msgspec does not always say where."""
    text = str(error)
    if "byte" in text:
        return text
    if not raw.strip():
        return "the body is empty (byte 0)"
    try:
        json.loads(raw)
    except json.JSONDecodeError as found:
        return f"JSON is malformed: {found.msg} (byte {len(found.doc[: found.pos].encode())})"
    except (ValueError, RecursionError):
        return text
    lone = _LONE_SURROGATE.search(raw)
    return f"JSON is malformed: half a surrogate pair (byte {lone.start()})" if lone else text


def faults_of_shape(validator: jsonschema.Draft202012Validator, document: Any) -> Iterator[Fault]:
    """As the schema's rules come; each found when it is asked for."""
    errors: Iterator[Any] = validator.iter_errors(document)  # pyright: ignore[reportUnknownMemberType]
    for error in errors:
        yield Fault("".join(f"/{part}" for part in error.absolute_path), str(error.message)[:300])


def _all_wrong(raw: bytes, routes: Mapping[str, Route], error: msgspec.ValidationError) -> Exception:
    """The slow path: what is wrong may be followed by what is not even JSON."""
    try:
        document = msgspec.json.decode(raw)
    except msgspec.DecodeError as malformed:
        return BodyRefused("malformed", 400, where_malformed(raw, malformed))
    return InvalidCommand(_all_faults(document, routes) or [Fault("", str(error))])


def _all_faults(document: Any, routes: Mapping[str, Route]) -> list[Fault]:
    """Of the envelope, of the ids, and of the data as far as the type says what it must be."""
    faults = sorted(faults_of_shape(_shape, document), key=lambda fault: fault.where)
    if not isinstance(document, dict):
        return faults
    return faults + _inner_faults(cast(dict[str, Any], document), routes)


def _inner_faults(document: dict[str, Any], routes: Mapping[str, Route]) -> list[Fault]:
    faults: list[Fault] = []
    if isinstance(document.get("id"), str) and not is_valid_id(document["id"]):
        faults.append(Fault("/id", _ID))
    type = document.get("type")
    if not isinstance(type, str):
        return faults
    route = routes.get(type)
    if route is None or route.internal:
        return [*faults, Fault("/type", f"there is no command {type!r}"[:300])]
    try:
        route.decode(msgspec.json.encode(document.get("data", {})))
    except InvalidCommand as invalid:
        faults += invalid.faults
    return faults
