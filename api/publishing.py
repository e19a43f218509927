"""`POST /events`: CloudEvents of other systems, structured, in batches, or in binary mode."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final
from urllib.parse import unquote

import msgspec
from litestar import Request, Router, post

from api.bodies import check_text, where_malformed
from api.problems import BodyRefused
from api.services import Services
from handlers.command import Fault
from handlers.inbound import MAX_EVENT, InvalidCloudEvent, parse

MAX_BATCH: Final = 4_000_000
"""Bytes of a whole batch; each of its events is limited by itself."""

_STRUCTURED: Final = frozenset({"application/cloudevents+json", "application/json", ""})
_BATCH: Final = "application/cloudevents-batch+json"


class Published(msgspec.Struct, frozen=True):
    """One event that is stored, and the subject it is stored under."""

    id: str
    subject: str


def publishing_router(services: Services) -> Router:
    @post(
        "/events",
        summary="Publish events of other systems (CloudEvents 1.0)",
        status_code=202,
        tags=["events"],
        request_max_body_size=MAX_BATCH,
    )
    async def publish(request: Request[Any, Any, Any]) -> list[Published]:
        """One event, structured or binary (`ce-…` headers), or a batch. Stored first, handled afterwards.

        Where one is no CloudEvent, none is stored, and the answer names every fault of every event.
        """
        documents = documents_of(await request.body(), request.headers)
        ids = _checked(documents)
        return [
            Published(id, await services.publish_inbound(document)) for id, document in zip(ids, documents, strict=True)
        ]

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


def _checked(documents: Sequence[bytes]) -> list[str]:
    """Their ids. Raises InvalidCloudEvent; in a batch the faults say which event they are of, counted from 0."""
    ids: list[str] = []
    faults: list[Fault] = []
    for number, document in enumerate(documents):
        try:
            ids.append(parse(document).id)
        except InvalidCloudEvent as invalid:
            place = f"/{number}" if len(documents) > 1 else ""
            faults += [Fault(place + fault.where, fault.what) for fault in invalid.faults]
    if faults:
        raise InvalidCloudEvent(faults)
    return ids
