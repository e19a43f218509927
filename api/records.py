"""What came in, as it came: the original of a record and its attachments, byte for byte."""

from __future__ import annotations

from typing import Any, Final
from urllib.parse import quote

import msgspec
from litestar import Response, Router, get
from litestar.params import FromPath

from api.belongings import lists_of
from api.problems import NotFound
from api.queries import check_accept, check_id
from api.services import Services
from domain import record
from domain.record import Known
from eventstore.blobs import BlobMissing
from eventstore.envelope import StreamId

_KEPT_FROM_HARM: Final = {
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": "default-src 'none'; sandbox",
}
"""What strangers sent is never shown as a page of ours."""


def record_routers(services: Services) -> list[Router]:
    """Of records, and of what there is around them."""
    around = [
        Router(f"/{each}", route_handlers=lists_of(services, each), tags=[each], before_request=check_accept)
        for each in ("records", "record_schemas", "automations")
    ]
    return [_records(services), *around]


def _records(services: Services) -> Router:
    @get("/{id:str}/original", summary="A message as it came", operation_id="original_of_record")
    async def original(id: FromPath[str]) -> Response[bytes]:
        """Byte for byte, as a download; a message that was given as a command is its own original."""
        received = (await _known(services, id)).received
        if received.raw is not None:
            content = received.raw.encode()
        elif received.original is not None:
            content = await _stored(services, received.original)
        else:
            content = msgspec.json.encode(received.message)
        return _download(content, f"{id}.original", received.original_type)

    @get("/{id:str}/attachments/{number:int}", summary="An attachment", operation_id="attachment_of_record")
    async def attachment(id: FromPath[str], number: FromPath[int]) -> Response[bytes]:
        """They count from 1, in the order of the message."""
        known = await _known(services, id)
        enriched = known.enrichment.attachments if known.enrichment else ()
        attachments = enriched or known.received.message.attachments
        if not 1 <= number <= len(attachments):
            raise NotFound(f"{id!r} has {len(attachments)} attachments, and none with the number {number}")
        found = attachments[number - 1]
        if found.content is None:
            raise NotFound(f"the attachment {number} of {id!r} is not stored: {found.refused or 'it was not fetched'}")
        return _download(await _stored(services, found.content), found.name, found.media_type)

    return Router("/records", route_handlers=[original, attachment], tags=["records"])


async def _known(services: Services, id: str) -> Known:
    """Straight from the log. Raises NotFound, LogUnavailable."""
    check_id("records", id)
    events = await services.store.load(StreamId(record.record.category, id), latest=True)
    match record.record.fold([services.store.decode(event) for event in events]):
        case Known() as known:
            return known
        case record.Unknown():
            raise NotFound(f"there is nothing called {id!r} among the records")


async def _stored(services: Services, hash: str) -> bytes:
    try:
        return await services.blobs.get(hash)
    except BlobMissing as error:
        raise NotFound(f"what was stored as {hash} is not there any more") from error


def _download(content: bytes, name: str, media_type: str) -> Response[Any]:
    disposition = f"attachment; filename*=UTF-8''{quote(name, safe='')}"
    # As a header: to a media type that is text a charset would be added, whatever its bytes are.
    headers = {"content-type": _harmless(media_type), "Content-Disposition": disposition, **_KEPT_FROM_HARM}
    return Response(content, headers=headers)


def _harmless(media_type: str) -> str:
    """A header takes printable characters only."""
    usable = media_type.isascii() and media_type.isprintable() and "/" in media_type
    return media_type if usable else "application/octet-stream"
