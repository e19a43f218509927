"""What only deployments have: a timeline told to people, and the output of the release."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Sequence
from typing import Annotated, Any, Final

import msgspec
from litestar import Response, Router, get
from litestar.params import FromPath, QueryParameter
from litestar.response import Stream

from api.events import NDJSON
from api.links import link, path_of
from api.problems import NotFound
from api.queries import Limit, check_id
from api.services import Services
from api.waiting import MinPosition, Wait, reached
from projections.queries import MAX_LIMIT
from sagas.targets.port import TargetError

_LOOK: Final = 0.5
_SIGN_OF_LIFE: Final = 15.0
"""Seconds without a line after which an empty line shows that the connection still stands."""

AfterLine = Annotated[int, QueryParameter(ge=0, le=2**63 - 1, description="A line number: only what comes after")]
Follow = Annotated[bool, QueryParameter(description="Stay and stream new lines as NDJSON")]


def deployment_router(services: Services) -> Router:
    @get("/deployments/{id:str}/timeline", summary="A deployment, told to people", tags=["deployments"])
    async def timeline(id: FromPath[str], min_position: MinPosition = None, wait: Wait = 5.0) -> Response[Any]:
        check_id("deployments", id)
        position = await reached(services, "deployments", min_position, wait)
        page = await services.models.rows(
            "deployments", table="timeline", filters={"deployment_id": id}, limit=MAX_LIMIT
        )
        if not page.items:
            raise NotFound(f"there is nothing called {id!r} among the deployments")
        path = path_of("deployment", id)
        body = {"items": list(reversed(page.items)), "_links": {"self": f"{path}/timeline", "deployment": path}}
        return Response(body, headers={"X-Position": str(position)})

    @get("/deployments/{id:str}/logs", summary="What the release wrote", tags=["deployments"])
    async def logs(
        id: FromPath[str],
        after: AfterLine = 0,
        limit: Limit = MAX_LIMIT,
        follow: Follow = False,
        min_position: MinPosition = None,
        wait: Wait = 5.0,
    ) -> Response[Any]:
        """Lines above number `after`, oldest first; with `follow` as NDJSON, for as long as you listen."""
        check_id("deployments", id)
        await reached(services, "deployments", min_position, wait)
        deployment = await services.models.row("deployments", id)
        if deployment is None:
            raise NotFound(f"there is nothing called {id!r} among the deployments")
        lines = await services.logs(deployment, after, limit)
        if follow:
            return Stream(_follow(services, deployment, after), media_type=NDJSON)
        path = f"{path_of('deployment', id)}/logs"
        links = {"self": link(path, after=after or None, limit=limit), "follow": link(path, after=after, follow="true")}
        if len(lines) == limit:
            links["next"] = link(path, after=lines[-1].number, limit=limit)
        return Response({"items": lines, "_links": links})

    return Router("/", route_handlers=[timeline, logs])


async def _follow(services: Services, deployment: Any, after: int) -> AsyncGenerator[bytes]:
    """A target that is away for a moment is waited for."""
    quiet = 0.0
    while True:
        lines: Sequence[Any] = []
        with contextlib.suppress(TargetError):
            lines = await services.logs(deployment, after, MAX_LIMIT)
        if lines:
            after, quiet = lines[-1].number, 0.0
            yield b"".join(msgspec.json.encode(line) + b"\n" for line in lines)
            continue
        await asyncio.sleep(_LOOK)
        quiet += _LOOK
        if quiet >= _SIGN_OF_LIFE:
            quiet = 0.0
            yield b"\n"
