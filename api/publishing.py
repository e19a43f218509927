"""`POST /events`: CloudEvents of other systems, structured, in batches, or in binary mode."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import unquote

import msgspec
from litestar import Request, Router, post

from api.bodies import check_text, where_malformed
from api.problems import BodyRefused
from api.services import Services
from handlers.inbound import MAX_EVENT, InvalidCloudEvent

MAX_BATCH: Final = 4_000_000
"""Bytes of a whole batch; each of its events is limited by itself."""

_STRUCTURED: Final = frozenset({"application/cloudevents+json", "application/json", ""})
_BATCH: Final = "application/cloudevents-batch+json"


class Verdict(msgspec.Struct, frozen=True, omit_defaults=True):
    """What became of one published event."""

    id: str
    accepted: bool
    subject: str | None = None
    reason: str | None = None


class _Identified(msgspec.Struct):
    id: str = ""


def publishing_router(services: Services) -> Router:
    @post(
        "/events",
        summary="Publish events of other systems (CloudEvents 1.0)",
        status_code=202,
        tags=["events"],
        request_max_body_size=MAX_BATCH,
    )
    async def publish(request: Request[Any, Any, Any]) -> list[Verdict]:
        """One event, structured or binary (`ce-…` headers), or a batch. Stored first, handled afterwards."""
        documents = documents_of(await request.body(), request.headers)
        return [await _publish(services, each) for each in documents]

    return Router("/", route_handlers=[publish])


def documents_of(body: bytes, headers: Mapping[str, str]) -> list[bytes]:
    """The events as structured documents; header names in lower case. Raises BodyRefused."""
    kind = headers.get("content-type", "").partition(";")[0].strip().lower()
    if "ce-specversion" in headers:
        return [_from_binary(body, kind, headers)]
    if kind == _BATCH:
        parts: list[msgspec.Raw] = _decoded(body, MAX_BATCH, list[msgspec.Raw])
        return [bytes(part) for part in parts]
    if kind not in _STRUCTURED:
        raise BodyRefused("unsupported-media-type", 415, f"{kind[:100]!r} is neither a CloudEvent nor a batch of them")
    _decoded(body, MAX_EVENT, dict[str, msgspec.Raw])
    return [body]


def _decoded(body: bytes, limit: int, type: Any) -> Any:
    check_text(body, limit)
    try:
        found = msgspec.json.decode(body, type=type)
        msgspec.json.decode(body)  # raw parts were only skipped: all of it must be JSON
    except msgspec.ValidationError as error:
        raise BodyRefused("malformed", 400, str(error)) from error
    except msgspec.DecodeError as error:
        raise BodyRefused("malformed", 400, where_malformed(body, error)) from error
    return found


def _from_binary(body: bytes, kind: str, headers: Mapping[str, str]) -> bytes:
    event: dict[str, Any] = {
        name[3:]: unquote(value) for name, value in headers.items() if name.startswith("ce-") and name != "ce-data"
    }
    check_text(body, MAX_EVENT)
    if kind:
        event["datacontenttype"] = kind
    if body and (kind in ("", "application/json") or kind.endswith("+json")):
        _decoded(body, MAX_EVENT, Any)
        event["data"] = msgspec.Raw(body)
    elif body:
        event["data"] = body.decode()
    return msgspec.json.encode(event)


async def _publish(services: Services, raw: bytes) -> Verdict:
    id = _id_of(raw)
    try:
        return Verdict(id, True, await services.publish_inbound(raw))
    except InvalidCloudEvent as invalid:
        return Verdict(id, False, reason=str(invalid))


def _id_of(raw: bytes) -> str:
    """Whatever is wrong with the event, its verdict should name it."""
    try:
        return msgspec.json.decode(raw, type=_Identified).id
    except msgspec.DecodeError:
        return ""
