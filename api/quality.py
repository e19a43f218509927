"""Quality over HTTP: what is tracked, in sum, by source and domain, over time, and which questions are open."""

from __future__ import annotations

import base64
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Final

import msgspec
from litestar import Request, Response, Router, get
from litestar.params import QueryParameter

from api.links import API, link, path_of
from api.queries import Cursor, Limit, check_accept, filters_of, page_links
from api.services import Services
from api.waiting import MinPosition, Wait, reached
from projections import quality_figures
from projections.follow_ups import follow_ups
from projections.queries import DEFAULT_LIMIT, BadQuery, read_time
from projections.rows import row_of

TRACKED: Final = "data_quality_tracking"
PATH: Final = f"{API}/quality"

Worst = Annotated[int, QueryParameter(ge=1, le=100, description="How many are named, the worst first")]
Days = Annotated[int, QueryParameter(ge=1, le=3_660, description="So many days back, today included")]
OfSource = Annotated[str | None, QueryParameter(description="Only of this source")]
OfDomain = Annotated[str | None, QueryParameter(description="Only of this domain")]


def quality_router(services: Services) -> Router:
    @get("/", summary="List what is tracked", operation_id="list_quality")
    async def tracked(
        request: Request[Any, Any, Any],
        limit: Limit = DEFAULT_LIMIT,
        cursor: Cursor = None,
        min_position: MinPosition = None,
        wait: Wait = 5.0,
    ) -> Response[Any]:
        """Records and datasets with their scores, newest change first. Any declared column filters
        (`entity_type=record`, `completeness_score_below=0.5`, `follow_up_deadline_before=…`)."""
        filters = filters_of(request)
        position = await reached(services, TRACKED, min_position, wait)
        page = await services.models.rows(TRACKED, filters=filters, limit=limit, cursor=cursor)
        links = page_links(PATH, page, **filters, limit=limit, cursor=cursor)
        items = [
            {**msgspec.to_builtins(row), "_links": {row.entity_type: path_of(row.entity_type, row.entity_id)}}
            for row in page.items
        ]
        return Response({"items": items, "_links": links}, headers={"X-Position": str(position)})

    @get("/overview", summary="Quality in sum", operation_id="quality_overview")
    async def overview(worst: Worst = 10, min_position: MinPosition = None, wait: Wait = 5.0) -> Response[Any]:
        """Records by status and flag, scores by domain and source, what is missing most, what became of questions."""
        position = await reached(services, "records", min_position, wait)
        found = await quality_figures.overview(services.pool, worst=worst)
        links = {name: f"{PATH}/{name}" for name in ("sources", "follow-ups", "trends")}
        body = {**msgspec.to_builtins(found), "_links": {"self": f"{PATH}/overview", **links}}
        return Response(body, headers={"X-Position": str(position)})

    @get("/sources", summary="The worst sources", operation_id="quality_of_sources")
    async def sources(limit: Worst = 10, min_position: MinPosition = None, wait: Wait = 5.0) -> Response[Any]:
        """The lowest mean score first."""
        position = await reached(services, "records", min_position, wait)
        items = await quality_figures.worst_sources(services.pool, limit)
        body = {"items": items, "_links": {"self": link(f"{PATH}/sources", limit=limit)}}
        return Response(body, headers={"X-Position": str(position)})

    @get("/trends", summary="Quality over time", operation_id="quality_trends")
    async def trends(
        source: OfSource = None,
        domain: OfDomain = None,
        days: Days = 30,
        min_position: MinPosition = None,
        wait: Wait = 5.0,
    ) -> Response[Any]:
        """Day by day (UTC), source by source and domain by domain, the oldest day first; at most 10,000 rows."""
        position = await reached(services, TRACKED, min_position, wait)
        today = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
        found = await quality_figures.trends(services.pool, today - timedelta(days=days - 1), source, domain, 10_000)
        links = {"self": link(f"{PATH}/trends", source=source, domain=domain, days=days)}
        return Response({"items": found, "_links": links}, headers={"X-Position": str(position)})

    @get("/follow-ups", summary="Open questions", operation_id="open_follow_ups")
    async def open_(
        source: OfSource = None,
        limit: Limit = DEFAULT_LIMIT,
        cursor: Cursor = None,
        min_position: MinPosition = None,
        wait: Wait = 5.0,
    ) -> Response[Any]:
        """Those whose deadline comes first. Questions that are paused have none."""
        position = await reached(services, "records", min_position, wait)
        after = None if cursor is None else _read_cursor(cursor)
        found = await quality_figures.open_follow_ups(services.pool, after, source, limit + 1)
        rows = [row_of(follow_ups, dict(record)) for record in found[:limit]]
        path = f"{PATH}/follow-ups"
        links = {"self": link(path, source=source, limit=limit, cursor=cursor)}
        if len(found) > limit:
            links["next"] = link(path, source=source, limit=limit, cursor=_write_cursor(rows[-1].deadline, rows[-1].id))
        items = [{**msgspec.to_builtins(row), "_links": _links(row)} for row in rows]
        return Response({"items": items, "_links": links}, headers={"X-Position": str(position)})

    handlers = [tracked, overview, sources, trends, open_]
    return Router("/quality", route_handlers=handlers, tags=["quality"], before_request=check_accept)


def _links(row: Any) -> dict[str, str]:
    return {"record": path_of("record", row.record_id), "source": path_of("source", row.source)}


def _write_cursor(deadline: datetime, id: str) -> str:
    return base64.urlsafe_b64encode(f"{deadline.isoformat()} {id}".encode()).decode().rstrip("=")


def _read_cursor(cursor: str) -> tuple[datetime, str]:
    try:
        text = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True).decode()
        moment, _, id = text.partition(" ")
        if not id or "\0" in id:
            raise ValueError
        return read_time(moment), id
    except ValueError as error:
        raise BadQuery([("cursor", "is none of ours; take it from a page's `next` link")]) from error
