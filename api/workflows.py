"""What only workflows have: graphs, what went in and came out, and the versions of definitions."""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal

from litestar import Request, Response, Router, get
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath, QueryParameter

from api.belongings import lists_of
from api.problems import NotAcceptable, NotFound
from api.queries import AsOf, check_accept, check_id, moment_of
from api.services import Services
from api.waiting import MinPosition, Wait, reached
from api.workflow_graph import Graph, graph_of_definition, graph_of_run, mermaid_of
from api.workflow_values import value_in
from domain import workflow, workflow_definition
from eventstore.envelope import StreamId

MERMAID: Final = "text/vnd.mermaid"
RUNS: Final = "workflows"
DEFINITIONS: Final = "workflow_definitions"

Format = Annotated[
    Literal["json", "mermaid"] | None, QueryParameter(description="Else what `Accept` asks for, or JSON")
]
Number = Annotated[int | None, QueryParameter(ge=1, description="Of this version; else the latest")]


def workflow_routers(services: Services) -> list[Router]:
    json = [*_values(services)]
    return [
        Router(f"/{RUNS}", route_handlers=json, tags=[RUNS], before_request=check_accept),
        Router(f"/{RUNS}", route_handlers=[_graph_of_run(services)], tags=[RUNS]),
        Router(
            f"/{DEFINITIONS}",
            route_handlers=lists_of(services, DEFINITIONS),
            tags=[DEFINITIONS],
            before_request=check_accept,
        ),
        Router(f"/{DEFINITIONS}", route_handlers=[_graph_of_definition(services)], tags=[DEFINITIONS]),
    ]


def _values(services: Services) -> list[HTTPRouteHandler]:
    @get("/{id:str}/input", summary="What a run was given", operation_id="input_of_workflow")
    async def given(id: FromPath[str]) -> Response[bytes]:
        """Whole, however large it is."""
        check_id(RUNS, id)
        return await value_in(services, id, 1, "input")

    @get("/{id:str}/output", summary="What a run gave", operation_id="output_of_workflow")
    async def output(id: FromPath[str], min_position: MinPosition = None, wait: Wait = 5.0) -> Response[bytes]:
        """Whole, however large it is; there is none before the run is completed."""
        check_id(RUNS, id)
        await reached(services, RUNS, min_position, wait)
        found = await services.models.row(RUNS, id)
        if found is None or found.status != "completed":
            raise NotFound(f"there is no output of {id!r}: " + ("no such run" if found is None else found.status))
        return await value_in(services, id, found.ended_in, "output")

    return [given, output]


def _graph_of_run(services: Services) -> HTTPRouteHandler:
    @get("/{id:str}/graph", summary="A run as a graph", operation_id="graph_of_workflow")
    async def graph(
        id: FromPath[str],
        request: Request[Any, Any, Any],
        format: Format = None,
        min_position: MinPosition = None,
        wait: Wait = 5.0,
        as_of: AsOf = None,
    ) -> Response[Any]:
        """Its steps, what they need and how far they are; as JSON, or as a flowchart of Mermaid."""
        form = _form(request, format)
        check_id(RUNS, id)
        stream, moment = StreamId(workflow.workflow.category, id), moment_of(as_of)
        position = await reached(services, RUNS, min_position, wait)
        if moment is None:
            run = await services.models.row(RUNS, id)
        else:
            run = await services.models.row_as_of(RUNS, stream, moment)
        if run is None:
            raise NotFound(f"there is nothing called {id!r} among the {RUNS}")
        [first] = await services.store.load(stream, limit=1)
        began = services.store.decode(first)
        assert isinstance(began, workflow.Started)
        return _answer(graph_of_run(run, began.steps), form, position)

    return graph


def _graph_of_definition(services: Services) -> HTTPRouteHandler:
    @get("/{id:str}/graph", summary="A definition as a graph", operation_id="graph_of_workflow_definition")
    async def graph(
        id: FromPath[str],
        request: Request[Any, Any, Any],
        version: Number = None,
        format: Format = None,
        min_position: MinPosition = None,
        wait: Wait = 5.0,
    ) -> Response[Any]:
        """Its steps, with patterns written out, and what they need; as JSON, or as a flowchart of Mermaid."""
        form = _form(request, format)
        check_id(DEFINITIONS, id)
        position = await reached(services, DEFINITIONS, min_position, wait)
        events = await services.store.load(StreamId(workflow_definition.workflow_definition.category, id))
        published = [
            event for event in map(services.store.decode, events) if isinstance(event, workflow_definition.Published)
        ]
        wanted = [each for each in published if version is None or each.version == version]
        if not wanted:
            what = f"no version {version} of {id!r}" if published else f"nothing called {id!r}"
            raise NotFound(f"there is {what} among the {DEFINITIONS}")
        return _answer(graph_of_definition(id, wanted[-1].version, wanted[-1].definition.steps), form, position)

    return graph


def _form(request: Request[Any, Any, Any], format: Literal["json", "mermaid"] | None) -> Literal["json", "mermaid"]:
    """Raises NotAcceptable."""
    if format is not None:
        return format
    accept = request.headers.get("accept", "")
    if MERMAID in accept.lower():
        return "mermaid"
    try:
        check_accept(request)
    except NotAcceptable as error:
        raise NotAcceptable(f"{error}, nor {MERMAID}") from error
    return "json"


def _answer(graph: Graph, form: Literal["json", "mermaid"], position: int) -> Response[Any]:
    headers = {"X-Position": str(position), "Vary": "Accept"}
    if form == "mermaid":
        return Response(mermaid_of(graph), media_type=MERMAID, headers=headers)
    return Response(graph, headers=headers)
