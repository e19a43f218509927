"""Lists of what belongs to one resource: `/models/{id}/versions` and its like, in one table."""

from __future__ import annotations

from typing import Any, Final, NamedTuple

import msgspec
from litestar import Request, Response, get
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath

from api.links import path_of
from api.problems import NotFound
from api.queries import Cursor, Limit, check_id, filters_of, page_links
from api.services import Services
from api.waiting import MinPosition, Wait, reached
from projections.queries import DEFAULT_LIMIT, BadQuery


class Belonging(NamedTuple):
    """Rows of `table` whose column `by` is the id of one of `resources`, with its name where it has one."""

    resources: str
    category: str
    name: str
    projection: str
    table: str
    by: str
    summary: str
    named: bool = True


BELONGINGS: Final = (
    Belonging("models", "model", "versions", "models", "versions", "model_id", "The versions of a model"),
    Belonging("models", "model", "metrics", "models", "model_metrics", "model_id", "What was measured of a model"),
    Belonging("models", "model", "drift", "monitors", "drift", "model_id", "Every verdict of drift"),
    Belonging("features", "feature", "versions", "features", "feature_versions", "feature_id", "Versions of a feature"),
    Belonging(
        "features", "feature", "upstream", "features", "feature_lineage", "downstream_id", "What it is made from"
    ),
    Belonging("features", "feature", "downstream", "features", "feature_lineage", "upstream_id", "What it is used for"),
    Belonging(
        "record_schemas",
        "record_schema",
        "versions",
        "record_schemas",
        "schema_versions",
        "schema_id",
        "The versions of a schema",
        named=False,
    ),
    Belonging(
        "workflow_definitions",
        "workflow_definition",
        "versions",
        "workflow_definitions",
        "definition_versions",
        "definition_id",
        "The versions of a definition",
        named=False,
    ),
    Belonging(
        "automations", "automation", "firings", "automations", "firings", "automation_id", "What an automation did"
    ),
    Belonging(
        "records", "record", "follow_ups", "records", "follow_ups", "record_id", "Questions about a record", named=False
    ),
)


def lists_of(services: Services, resources: str) -> list[HTTPRouteHandler]:
    return [_list(services, each) for each in BELONGINGS if each.resources == resources]


def _list(services: Services, of: Belonging) -> HTTPRouteHandler:
    @get(f"/{{id:str}}/{of.name}", summary=of.summary, operation_id=f"{of.name}_of_{of.category}")
    async def rows(
        id: FromPath[str],
        request: Request[Any, Any, Any],
        limit: Limit = DEFAULT_LIMIT,
        cursor: Cursor = None,
        min_position: MinPosition = None,
        wait: Wait = 5.0,
    ) -> Response[Any]:
        """Newest change first. Any declared column filters."""
        check_id(of.resources, id)
        filters = filters_of(request)
        if of.by in filters:
            raise BadQuery([(of.by, "stands in the path already")])
        position = min([await reached(services, name, min_position, wait) for name in {of.resources, of.projection}])
        owner = await services.models.row(of.resources, id)
        if owner is None:
            raise NotFound(f"there is nothing called {id!r} among the {of.resources}")
        own = {**filters, of.by: id}
        page = await services.models.rows(of.projection, table=of.table, filters=own, limit=limit, cursor=cursor)
        path = f"{path_of(of.category, id)}/{of.name}"
        links = page_links(path, page, **filters, limit=limit, cursor=cursor) | {of.category: path_of(of.category, id)}
        named = {f"{of.category}_name": owner.name} if of.named else {}
        items = [{**named, **msgspec.to_builtins(row)} for row in page.items]
        return Response({"items": items, "_links": links}, headers={"X-Position": str(position)})

    return rows
