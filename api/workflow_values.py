"""What went into a run or a call, and what came out, whole: straight from the log, or from where it is stored."""

from __future__ import annotations

from typing import Any

import msgspec
from litestar import Response

from api.problems import NotFound
from api.services import Services
from domain import workflow
from domain.workflow import Value
from eventstore.blobs import BlobMissing
from eventstore.envelope import StreamId

_encode = msgspec.json.Encoder().encode


async def value_in(services: Services, run: str, version: int, name: str) -> Response[bytes]:
    """The value `name` of the event that has this version in the history of a run, as JSON.

    Raises NotFound, LogUnavailable."""
    events = await services.store.load(StreamId(workflow.workflow.category, run), after_version=version - 1, limit=1)
    found: Any = getattr(services.store.decode(events[0]), name, None) if events else None
    if not isinstance(found, Value):
        raise NotFound(f"there is no {name} on the record of {run!r}")
    return Response(await document_of(services, found), media_type="application/json")


async def document_of(services: Services, value: Value) -> bytes:
    """JSON. Raises NotFound, LogUnavailable."""
    if not value.hash:
        return _encode(value.inline)
    try:
        return await services.blobs.get(value.hash)
    except BlobMissing as error:
        raise NotFound(f"what was stored as {value.hash} is not there any more") from error
