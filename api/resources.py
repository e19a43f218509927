"""Read models over HTTP: one table of resources, one way to list, show and tell the history of each."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Annotated, Any, Final

import msgspec
from litestar import Request, Response, Router, get
from litestar.params import Parameter

from api.events import page_of
from api.problems import NotFound
from api.services import Services
from eventstore.envelope import StreamId
from eventstore.subjects import is_valid_id
from handlers.routes import Route
from projections.queries import DEFAULT_LIMIT, MAX_LIMIT, BadQuery, read_time

_RESERVED: Final = frozenset({"limit", "cursor", "min_position", "wait", "as_of", "after"})
_LONGEST_WAIT: Final = 30.0

Row = Any
Limit = Annotated[int, Parameter(ge=1, le=MAX_LIMIT, description="Items on a page")]
Cursor = Annotated[str | None, Parameter(description="From the `next` link of the page before")]
MinPosition = Annotated[
    int | None, Parameter(ge=0, description="Wait until the read model knows everything up to this position")
]
Wait = Annotated[float, Parameter(ge=0, le=_LONGEST_WAIT, description="Seconds to wait for `min_position` at most")]
AsOf = Annotated[str | None, Parameter(description="A position or an RFC 3339 time: the state it had then")]


@dataclass(frozen=True)
class Resource:
    """`name` is the read model's and the path's; `actions` says which commands make sense for a row now."""

    name: str
    category: str
    actions: Callable[[Row], Mapping[str, tuple[str, dict[str, Any]]]]
    """Action → (command type, data to start from)."""
    links: Callable[[Row], Mapping[str, str]] = field(default=lambda _: {})


def _deployment_actions(row: Row) -> Mapping[str, tuple[str, dict[str, Any]]]:
    if row.status in ("requested", "running") and not row.cancelled:
        return {"cancel": ("deployment.cancel", {"reason": ""})}
    again = {"stack_id": row.stack_id, "environment_id": row.environment_id, "target": row.target}
    actions = {"deploy_again": ("deployment.request", {**again, "version": row.version})}
    if row.status == "completed" and row.previous_version is not None:
        actions["roll_back"] = ("deployment.request", {**again, "version": row.previous_version})
    return actions


def _deployment_links(row: Row) -> Mapping[str, str]:
    links = {
        "stack": f"/api/v1/stacks/{row.stack_id}",
        "environment": f"/api/v1/environments/{row.environment_id}",
        "saga": f"/api/v1/sagas/deployment-{row.id}",
        "timeline": f"/api/v1/deployments/{row.id}/timeline",
        "logs": f"/api/v1/deployments/{row.id}/logs",
        "conversation": f"/api/v1/events?correlation_id={row.correlation_id}",
    }
    return {**links, "service": row.url} if row.url else links


def _saga_actions(row: Row) -> Mapping[str, tuple[str, dict[str, Any]]]:
    if row.status != "paused":
        return {}
    actions: dict[str, tuple[str, dict[str, Any]]] = {"resume": ("saga.resume", {})}
    stuck = [effect.key for effect in row.effects if effect.status not in ("undone", "waived")]
    if row.compensating and stuck:
        actions["waive_effect"] = ("saga.waive_effect", {"key": stuck[-1], "reason": ""})
    return actions


RESOURCES: Final = (
    Resource(
        "organizations",
        "organization",
        lambda row: {"describe": ("organization.describe", {"description": row.description, "settings": row.settings})},
        lambda row: {
            "stacks": f"/api/v1/stacks?organization_id={row.id}",
            "environments": f"/api/v1/environments?organization_id={row.id}",
        },
    ),
    Resource(
        "environments",
        "environment",
        lambda row: {
            "configure": ("environment.configure", {"configuration": row.configuration}),
            "add_target": ("environment.add_target", {}),
            "remove_target": ("environment.remove_target", {}),
        },
        lambda row: {
            "organization": f"/api/v1/organizations/{row.organization_id}",
            "deployments": f"/api/v1/deployments?environment_id={row.id}",
        },
    ),
    Resource(
        "stacks",
        "stack",
        lambda row: {
            "publish_version": ("stack.publish_version", {}),
            "withdraw_version": ("stack.withdraw_version", {}),
            "configure": ("stack.configure", {"configuration": row.configuration}),
        },
        lambda row: {
            "organization": f"/api/v1/organizations/{row.organization_id}",
            "deployments": f"/api/v1/deployments?stack_id={row.id}",
        },
    ),
    Resource("deployments", "deployment", _deployment_actions, _deployment_links),
    Resource("sagas", "saga", _saga_actions, lambda row: {"subject": _path_of(row.subject)}),
)


def resource_routers(services: Services) -> list[Router]:
    return [_router(services, resource) for resource in RESOURCES] + [_details(services)]


def _router(services: Services, resource: Resource) -> Router:
    name = resource.name

    @get("/", summary=f"List {name}", operation_id=f"list_{name}")
    async def rows(
        request: Request[Any, Any, Any],
        limit: Limit = DEFAULT_LIMIT,
        cursor: Cursor = None,
        min_position: MinPosition = None,
        wait: Wait = 5.0,
    ) -> Response[Any]:
        """Newest change first. Any declared column filters (`status=completed`, `requested_at_after=…`)."""
        position = await _reached(services, name, min_position, wait)
        filters = {key: value for key, value in request.query_params.items() if key not in _RESERVED}
        page = await services.models.rows(name, filters=filters, limit=limit, cursor=cursor)
        links = {"self": f"/api/v1/{name}"}
        if page.cursor is not None:
            pairs = "&".join(f"{key}={value}" for key, value in {**filters, "limit": limit}.items())
            links["next"] = f"/api/v1/{name}?{pairs}&cursor={page.cursor}"
        items = [{**msgspec.to_builtins(row), "_links": {"self": f"/api/v1/{name}/{row.id}"}} for row in page.items]
        return Response({"items": items, "_links": links}, headers={"X-Position": str(position)})

    @get("/{id:str}", summary=f"One of the {name}", operation_id=f"get_{resource.category}")
    async def row(
        id: str,
        min_position: MinPosition = None,
        wait: Wait = 5.0,
        as_of: AsOf = None,
    ) -> Response[Any]:
        """With `_links` to what belongs to it and `_actions` that make sense now."""
        _check(name, id)
        position = await _reached(services, name, min_position, wait)
        if as_of is not None:
            found = await services.models.row_as_of(name, StreamId(resource.category, id), _moment(as_of))
        else:
            found = await services.models.row(name, id)
        if found is None:
            raise NotFound(f"there is nothing called {id!r} among the {name}")
        body = _single(services.handler.routes, resource, found, past=as_of is not None)
        return Response(body, headers={"X-Position": str(position)})

    @get("/{id:str}/events", summary=f"History of one of the {name}", operation_id=f"history_of_{resource.category}")
    async def history(id: str, after: int = 0, limit: Limit = MAX_LIMIT) -> Response[Any]:
        """Oldest first, straight from the log. `after` is a version of the stream."""
        _check(name, id)
        stream = StreamId(resource.category, id)
        events = await services.store.load(stream, after_version=max(after, 0))
        if not events and (after <= 0 or not await services.store.reader.event(stream, 1)):
            raise NotFound(f"there is nothing called {id!r} among the {name}")
        links = {"self": f"/api/v1/{name}/{id}/events"}
        if len(events) > limit:
            links["next"] = f"{links['self']}?after={events[limit - 1].version}&limit={limit}"
        position = events[-1].position if events else services.live.position
        body = page_of(events[:limit], links)
        return Response(body, media_type="application/json", headers={"X-Position": str(position)})

    return Router(f"/{name}", route_handlers=[rows, row, history], tags=[name])


def _details(services: Services) -> Router:
    @get("/deployments/{id:str}/timeline", summary="A deployment, told to people", tags=["deployments"])
    async def timeline(id: str, min_position: MinPosition = None, wait: Wait = 5.0) -> Response[Any]:
        _check("deployments", id)
        position = await _reached(services, "deployments", min_position, wait)
        page = await services.models.rows(
            "deployments", table="timeline", filters={"deployment_id": id}, limit=MAX_LIMIT
        )
        if not page.items:
            raise NotFound(f"there is nothing called {id!r} among the deployments")
        return Response({"items": list(reversed(page.items))}, headers={"X-Position": str(position)})

    @get("/deployments/{id:str}/logs", summary="What the release wrote", tags=["deployments"])
    async def logs(id: str, after: Annotated[int, Parameter(ge=0)] = 0, limit: Limit = MAX_LIMIT) -> Response[Any]:
        """Lines above number `after`, oldest first."""
        _check("deployments", id)
        deployment = await services.models.row("deployments", id)
        if deployment is None:
            raise NotFound(f"there is nothing called {id!r} among the deployments")
        lines = await services.logs(deployment, after, limit)
        links = {"self": f"/api/v1/deployments/{id}/logs"}
        if len(lines) == limit:
            links["next"] = f"{links['self']}?after={lines[-1].number}&limit={limit}"
        return Response({"items": lines, "_links": links})

    return Router("/", route_handlers=[timeline, logs])


async def _reached(services: Services, name: str, wanted: int | None, wait: float) -> int:
    """Wait if asked to; the position the answer is at least as new as."""
    if wanted is not None:
        await services.models.wait_for(name, wanted, wait)
    return await services.models.position(name)


def _single(routes: Mapping[str, Route], resource: Resource, row: Row, *, past: bool) -> dict[str, Any]:
    path = f"/api/v1/{resource.name}/{row.id}"
    body: dict[str, Any] = msgspec.to_builtins(row)
    body["_links"] = {"self": path, "events": f"{path}/events", **resource.links(row)}
    body["_actions"] = {} if past else _actions(routes, resource, row)
    return body


def _actions(routes: Mapping[str, Route], resource: Resource, row: Row) -> dict[str, Any]:
    actions: dict[str, Any] = {}
    for action, (type, data) in resource.actions(row).items():
        body: dict[str, Any] = {"type": type, "data": data}
        if type != "deployment.request":
            body["stream"] = {"category": resource.category, "id": row.id}
        actions[action] = {
            "href": "/api/v1/commands",
            "method": "POST",
            "body": body,
            "schema": routes[type].schema,
        }
    return actions


def _moment(text: str) -> int | datetime:
    if text.isdigit():
        return int(text)
    try:
        return read_time(text)
    except ValueError as error:
        raise BadQuery([("as_of", f"{text!r} is neither a position nor an RFC 3339 time")]) from error


def _check(name: str, id: str) -> None:
    if not is_valid_id(id):
        raise NotFound(f"there is nothing called {id[:100]!r} among the {name}")


def _path_of(stream: str) -> str:
    category, _, id = stream.partition("/")
    return f"/api/v1/{category}s/{id}"
