"""Read models over HTTP: one way to list, to show and to tell the history of each resource."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any, Final

import msgspec
from litestar import Request, Response, Router, get
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath, QueryParameter

from api.events import page_of, read_position
from api.links import API, link, path_of
from api.problems import NotAcceptable, NotFound
from api.resources import RESOURCES, Resource, single
from api.services import Services
from api.waiting import LAST_POSITION, MinPosition, Wait, log_reached, reached
from eventstore.envelope import StreamId
from eventstore.subjects import is_valid_id
from projections.queries import DEFAULT_LIMIT, MAX_LIMIT, BadQuery, Page, read_time

_RESERVED: Final = frozenset({"limit", "cursor", "min_position", "wait"})
_JSON: Final = re.compile(r"application/(\*|json|problem\+json)|\*/\*", re.IGNORECASE)

Limit = Annotated[int, QueryParameter(ge=1, le=MAX_LIMIT, description="Items on a page")]
Cursor = Annotated[str | None, QueryParameter(description="From the `next` link of the page before")]
AsOf = Annotated[str | None, QueryParameter(description="A position or an RFC 3339 time: the state it had then")]
AfterVersion = Annotated[int, QueryParameter(ge=0, le=LAST_POSITION, description="A version: only what comes after")]


def query_routers(services: Services) -> list[Router]:
    of_resources = [
        Router(
            f"/{each.name}",
            route_handlers=[
                listing(services, each.name, each.category),
                _one(services, each),
                history(services, each.name, each.category),
            ],
            tags=[each.name],
            before_request=check_accept,
        )
        for each in RESOURCES
    ]
    of_commands = [listing(services, "commands", "command"), history(services, "commands", "command")]
    commands = Router("/commands", route_handlers=of_commands, tags=["commands"], before_request=check_accept)
    return [*of_resources, commands]


def check_accept(request: Request[Any, Any, Any]) -> None:
    """Raises NotAcceptable."""
    accept = request.headers.get("accept", "")
    if accept and not _JSON.search(accept):
        raise NotAcceptable(f"{accept[:100]!r} does not take in application/json")


def listing(services: Services, name: str, category: str) -> HTTPRouteHandler:
    @get("/", summary=f"List {name}", operation_id=f"list_{name}")
    async def rows(
        request: Request[Any, Any, Any],
        limit: Limit = DEFAULT_LIMIT,
        cursor: Cursor = None,
        min_position: MinPosition = None,
        wait: Wait = 5.0,
    ) -> Response[Any]:
        """Newest change first. Any declared column filters (`status=completed`, `requested_at_after=…`)."""
        filters = filters_of(request)
        position = await reached(services, name, min_position, wait)
        page = await services.models.rows(name, filters=filters, limit=limit, cursor=cursor)
        links = page_links(f"{API}/{name}", page, **filters, limit=limit, cursor=cursor)
        items = [{**msgspec.to_builtins(row), "_links": {"self": path_of(category, row.id)}} for row in page.items]
        return Response({"items": items, "_links": links}, headers={"X-Position": str(position)})

    return rows


def page_links(path: str, page: Page, **query: Any) -> dict[str, str]:
    """To this page, and to the next where there is one."""
    links = {"self": link(path, **query)}
    if page.cursor is not None:
        links["next"] = link(path, **query | {"cursor": page.cursor})
    return links


def _one(services: Services, resource: Resource) -> HTTPRouteHandler:
    name = resource.name

    @get("/{id:str}", summary=f"One of the {name}", operation_id=f"get_{resource.category}")
    async def row(
        id: FromPath[str],
        min_position: MinPosition = None,
        wait: Wait = 5.0,
        as_of: AsOf = None,
    ) -> Response[Any]:
        """With `_links` to what belongs to it and `_actions` that make sense now."""
        check_id(name, id)
        moment = moment_of(as_of)
        position = await reached(services, name, min_position, wait)
        if moment is not None:
            found = await services.models.row_as_of(name, StreamId(resource.category, id), moment)
        else:
            found = await services.models.row(name, id)
        if found is None:
            raise NotFound(f"there is nothing called {id!r} among the {name}")
        body = single(services.handler.routes, resource, found, past=as_of is not None)
        return Response(body, headers={"X-Position": str(position)})

    return row


def history(services: Services, name: str, category: str) -> HTTPRouteHandler:
    @get("/{id:str}/events", summary=f"History of one of the {name}", operation_id=f"history_of_{category}")
    async def events(
        id: FromPath[str],
        after: AfterVersion = 0,
        limit: Limit = MAX_LIMIT,
        min_position: MinPosition = None,
        wait: Wait = 5.0,
    ) -> Response[Any]:
        """Oldest first, straight from the log. `after` is a version of the stream."""
        check_id(name, id)
        known = await log_reached(services, min_position, wait)
        stream = StreamId(category, id)
        found = await services.store.load(stream, after_version=after, limit=limit + 1, latest=True)
        if not found and (after == 0 or not await services.store.reader.event(stream, 1, leader=True)):
            raise NotFound(f"there is nothing called {id!r} among the {name}")
        path = f"{path_of(category, id)}/events"
        links = {"self": link(path, after=after or None, limit=limit)}
        if len(found) > limit:
            links["next"] = link(path, after=found[limit - 1].version, limit=limit)
        position = max(known, found[-1].position if found else 0)
        body = page_of(found[:limit], links)
        return Response(body, media_type="application/json", headers={"X-Position": str(position)})

    return events


def filters_of(request: Request[Any, Any, Any]) -> Mapping[str, str]:
    """Raises BadQuery for a filter that is given twice: only one of them could count."""
    twice = [name for name in request.query_params if len(request.query_params.getall(name)) > 1]
    if twice:
        raise BadQuery([(name[:100], "is given more than once") for name in sorted(set(twice))])
    return {name: value for name, value in request.query_params.items() if name not in _RESERVED}


def check_id(name: str, id: str) -> None:
    """Raises NotFound: what cannot be an id belongs to nothing."""
    if not is_valid_id(id):
        raise NotFound(f"there is nothing called {id[:100]!r} among the {name}")


def moment_of(text: str | None) -> int | datetime | None:
    """Raises BadQuery."""
    if text is None:
        return None
    position = read_position(text)
    if position is not None:
        return position
    try:
        return read_time(text)
    except ValueError as error:
        raise BadQuery([("as_of", f"{text[:100]!r} is neither a position nor an RFC 3339 time")]) from error
