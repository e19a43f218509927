"""What only skills have: their workers, and what execution has taught of them."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Final

from litestar import Response, Router, get
from litestar.params import FromPath, QueryParameter

from api.links import link, path_of
from api.problems import NotFound
from api.queries import Limit, check_accept, check_id
from api.services import Services
from api.skill_workers import workers_of
from api.waiting import MinPosition, Wait, reached
from projections.queries import MAX_LIMIT, BadQuery, read_time
from projections.skill_figures import Wanted, figures_of

_NAME: Final = "skills"

OfVersion = Annotated[str | None, QueryParameter(description="Only of this version")]
OfStep = Annotated[str | None, QueryParameter(description="Only as this step")]
OfDefinition = Annotated[str | None, QueryParameter(description="Only in runs of this definition; empty: of none")]
From = Annotated[str | None, QueryParameter(name="from", description="Asked for at this time (RFC 3339) or later")]
To = Annotated[str | None, QueryParameter(name="to", description="Asked for before this time (RFC 3339)")]


def skill_router(services: Services) -> Router:
    @get("/{id:str}/workers", summary="Who offers a skill now", operation_id="workers_of_skill")
    async def workers(id: FromPath[str], min_position: MinPosition = None, wait: Wait = 5.0) -> Response[Any]:
        """By their heartbeats; who was not heard of for a while is not `alive`, and forgotten after another one."""
        position = await _must_be(services, id, min_position, wait)
        items = await workers_of(services.store.connection, id)
        body = {
            "items": items,
            "alive": sum(each.alive for each in items),
            "_links": {"self": f"{path_of('skill', id)}/workers", "skill": path_of("skill", id)},
        }
        return Response(body, headers={"X-Position": str(position)})

    @get("/{id:str}/figures", summary="What execution has taught", operation_id="figures_of_skill")
    async def figures(
        id: FromPath[str],
        version: OfVersion = None,
        step: OfStep = None,
        definition: OfDefinition = None,
        since: From = None,
        until: To = None,
        limit: Limit = MAX_LIMIT,
        min_position: MinPosition = None,
        wait: Wait = 5.0,
    ) -> Response[Any]:
        """How often it worked, how long it took and what it cost: in `total`, and by version, definition, step and day
        (UTC), the newest day first."""
        given = _times({"from": since, "to": until})
        wanted = Wanted(version, definition, step, given["from"], given["to"])
        _without_nul({"version": version, "step": step, "definition": definition})
        position = await _must_be(services, id, min_position, wait)
        total, items = await figures_of(services.pool, id, wanted, limit)
        query = {"version": version, "step": step, "definition": definition, "from": since, "to": until}
        links = {"self": link(f"{path_of('skill', id)}/figures", **query), "skill": path_of("skill", id)}
        body = {"items": items, "total": total, "_links": links}
        return Response(body, headers={"X-Position": str(position)})

    return Router(f"/{_NAME}", route_handlers=[workers, figures], tags=[_NAME], before_request=check_accept)


async def _must_be(services: Services, id: str, min_position: int | None, wait: float) -> int:
    """How far both read models have come. Raises NotFound, NotReached."""
    check_id(_NAME, id)
    position = min([await reached(services, name, min_position, wait) for name in (_NAME, "workflows")])
    if await services.models.row(_NAME, id) is None:
        raise NotFound(f"there is nothing called {id!r} among the {_NAME}")
    return position


def _times(given: dict[str, str | None]) -> dict[str, datetime | None]:
    """Raises BadQuery with every fault."""
    read: dict[str, datetime | None] = {}
    faults: list[tuple[str, str]] = []
    for name, text in given.items():
        try:
            read[name] = None if text is None else read_time(text)
        except ValueError as error:
            faults.append((name, str(error)))
    if faults:
        raise BadQuery(faults)
    return read


def _without_nul(given: dict[str, str | None]) -> None:
    faults = [(name, "must not contain NUL") for name, text in given.items() if text and "\0" in text]
    if faults:
        raise BadQuery(faults)
