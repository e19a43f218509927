"""Events from outside and what became of them, read straight from the log: those that are parked can be retried."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal

from litestar import Response, Router, get
from litestar.params import FromPath, QueryParameter

from api.links import API, link, path_of
from api.problems import NotFound
from api.queries import check_accept, check_id, history
from api.services import Services
from api.trail import page_above
from api.waiting import MinPosition, Wait, log_reached
from domain import inbound
from eventstore.envelope import Recorded, StreamId
from handlers.routes import Route

_SCAN: Final = 5_000
"""Events looked at for one page; the `next` link goes on from there."""

_CATEGORY: Final = inbound.inbound.category
_STATUSES: Final = {"inbound.parked": "parked", "inbound.retried": "retried", "inbound.received": "received"}

Status = Annotated[Literal["parked", "retried", "received"] | None, QueryParameter(description="Only these")]
After = Annotated[int, QueryParameter(ge=0, le=2**63 - 1, description="A position: only what changed after it")]
Limit = Annotated[int, QueryParameter(ge=1, le=200, description="Items on a page")]


def inbound_router(services: Services) -> Router:
    @get("/", summary="List events from outside", operation_id="list_inbound")
    async def listed(
        status: Status = None,
        after: After = 0,
        limit: Limit = 50,
        min_position: MinPosition = None,
        wait: Wait = 5.0,
    ) -> Response[Any]:
        """The one that waits longest first. An event shows where its last change stands in the log."""
        known = await log_reached(services, min_position, wait)
        items: list[dict[str, Any]] = []
        position, more, looked = after, True, 0
        while more and len(items) < limit and looked < _SCAN:
            page = await page_above(services.store, position, 500, _CATEGORY)
            more = bool(page)
            for event in page:
                position, looked = event.position, looked + 1
                if status in (None, _STATUSES[event.type]) and await _is_last(services, event):
                    items.append(_told(services, event))
                    if len(items) == limit:
                        break
        path = f"{API}/inbound"
        links = {"self": link(path, status=status, after=after or None, limit=limit)}
        if more:
            links["next"] = link(path, status=status, after=position, limit=limit)
        return Response({"items": items, "_links": links}, headers={"X-Position": str(known)})

    @get("/{id:str}", summary="An event from outside", operation_id="get_inbound")
    async def one(id: FromPath[str], min_position: MinPosition = None, wait: Wait = 5.0) -> Response[Any]:
        """Its status, its original and, when it is parked, why; `_actions` offers the retry."""
        check_id("events from outside", id)
        known = await log_reached(services, min_position, wait)
        found = await services.store.load(StreamId(_CATEGORY, id), latest=True)
        if not found:
            raise NotFound(f"there is no event from outside called {id!r}")
        return Response(_told(services, found[-1]), headers={"X-Position": str(max(known, found[-1].position))})

    handlers = [listed, one, history(services, "events from outside", _CATEGORY)]
    return Router("/inbound", route_handlers=handlers, tags=["inbound"], before_request=check_accept)


async def _is_last(services: Services, event: Recorded) -> bool:
    return await services.store.reader.event(event.stream, event.version + 1, leader=True) is None


def _told(services: Services, event: Recorded) -> dict[str, Any]:
    path = path_of(_CATEGORY, event.stream.id)
    body: dict[str, Any] = {
        "id": event.stream.id,
        "status": _STATUSES[event.type],
        "since": event.time,
        "position": event.position,
        **_details(services.store.decode(event)),
        "_links": {"self": path, "events": f"{path}/events"},
    }
    body["_actions"] = _actions(services.handler.routes, event) if body["status"] == "parked" else {}
    return body


def _details(data: inbound.Event) -> Mapping[str, Any]:
    match data:
        case inbound.Received(source, id, kind, document):
            return {"source": source, "event_id": id, "type": kind, "document": document}
        case inbound.Parked(subject, document, reason):
            return {"subject": subject, "reason": reason, "document": document}
        case inbound.Retried(subject, document, attempt):
            return {"subject": subject, "attempt": attempt, "document": document}


def _actions(routes: Mapping[str, Route], event: Recorded) -> dict[str, Any]:
    stream = {"category": _CATEGORY, "id": event.stream.id}
    return {
        "retry": {
            "href": f"{API}/commands",
            "method": "POST",
            "type": "inbound.retry",
            "body": {"type": "inbound.retry", "data": {}, "stream": stream},
            "schema": routes["inbound.retry"].schema,
        }
    }
