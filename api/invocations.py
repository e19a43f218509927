"""Calls of skills over HTTP: all of them, and the dead letters among them, which are retried one by one or together."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any, Final

import jsonschema
import msgspec
from litestar import Request, Response, Router, get, post
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath

from api.bodies import MAX_BODY, check_kind, check_text, faults_of_shape, where_malformed
from api.callers import caller_of, span_of
from api.links import API, link
from api.problems import BodyRefused, NotFound
from api.queries import AsOf, Cursor, Limit, check_accept, check_id, filters_of, moment_of, page_links
from api.services import Services
from api.waiting import MinPosition, Wait, reached
from api.workflow_resources import invocation_links
from api.workflow_values import value_in
from domain import workflow
from domain.decider import ID
from domain.workflow import FailureKind
from eventstore.envelope import StreamId, new_id
from handlers.command import Caller, CommandRequest, Fault, InvalidCommand
from projections.dead_letters import Chosen, Parked, parked
from projections.queries import DEFAULT_LIMIT
from projections.workflow_calls import Invocation, call_as_of, call_of

PATH: Final = f"{API}/invocations"
_NAME: Final = "invocations"
_RUNS: Final = "workflows"
_MOST: Final = 1_000
"""Runs that are retried with one request."""
_AT_ONCE: Final = 32

_Id = Annotated[str, msgspec.Meta(pattern=ID)]


class RetryParked(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which of the calls that are parked: those of a `run`, a `skill`, a `definition`, of a `failure` (the kind of the
    last one), or `calls` by their ids; several of these narrow it down. `all` says that there is no filter on
    purpose."""

    run: _Id | None = None
    skill: _Id | None = None
    definition: _Id | None = None
    calls: Annotated[list[_Id], msgspec.Meta(min_length=1, max_length=_MOST)] | None = None
    failure: FailureKind | None = None
    all: bool = False


class RetryOutcome(msgspec.Struct, frozen=True, omit_defaults=True):
    """What came of one command; `calls` are those that it was about."""

    run: str
    calls: list[str]
    outcome: str
    position: int
    refusal: str | None = None
    reason: str | None = None


_shape = jsonschema.Draft202012Validator(msgspec.json.schema(RetryParked))


def invocation_router(services: Services) -> Router:
    @get("/", summary="List invocations", operation_id="list_invocations")
    async def rows(
        request: Request[Any, Any, Any],
        limit: Limit = DEFAULT_LIMIT,
        cursor: Cursor = None,
        min_position: MinPosition = None,
        wait: Wait = 5.0,
    ) -> Response[Any]:
        """Newest change first. Any declared column filters (`status=parked`: the dead letters; `failure=timeout`;
        `skill=…`; `run=…`)."""
        filters = filters_of(request)
        position = await reached(services, _RUNS, min_position, wait)
        page = await services.models.rows(_RUNS, table=_NAME, filters=filters, limit=limit, cursor=cursor)
        links = page_links(PATH, page, **filters, limit=limit, cursor=cursor)
        items = [{**msgspec.to_builtins(row), "_links": invocation_links(row)} for row in page.items]
        return Response({"items": items, "_links": links}, headers={"X-Position": str(position)})

    @get("/{id:str}", summary="One of the invocations", operation_id="get_invocation")
    async def row(
        id: FromPath[str], min_position: MinPosition = None, wait: Wait = 5.0, as_of: AsOf = None
    ) -> Response[Any]:
        """With `_links` to what belongs to it and `_actions` that make sense now."""
        check_id(_NAME, id)
        moment = moment_of(as_of)
        position = await reached(services, _RUNS, min_position, wait)
        found = await _known(services, id)
        if moment is not None:
            until: dict[str, Any] = {"until_position" if isinstance(moment, int) else "until_time": moment}
            events = await services.store.load(StreamId(workflow.workflow.category, found.run), **until)
            found = call_as_of(id, ((event, services.store.decode(event)) for event in events))
            if found is None:
                raise _nothing(id)
        actions = {} if moment is not None else _actions(services, found)
        body = {**msgspec.to_builtins(found), "_links": invocation_links(found), "_actions": actions}
        return Response(body, headers={"X-Position": str(position)})

    handlers: list[HTTPRouteHandler] = [rows, row, *_values(services), _retry(services)]
    return Router(f"/{_NAME}", route_handlers=handlers, tags=[_NAME], before_request=check_accept)


def _values(services: Services) -> list[HTTPRouteHandler]:
    @get("/{id:str}/input", summary="What a call was given", operation_id="input_of_invocation")
    async def given(id: FromPath[str]) -> Response[bytes]:
        """Whole, however large it is."""
        found = await _known(services, id)
        return await value_in(services, found.run, found.requested_in, "input")

    @get("/{id:str}/output", summary="What came of a call", operation_id="output_of_invocation")
    async def output(id: FromPath[str], min_position: MinPosition = None, wait: Wait = 5.0) -> Response[bytes]:
        """Whole, however large it is; there is none before it has succeeded."""
        await reached(services, _RUNS, min_position, wait)
        found = await _known(services, id)
        if found.status != "succeeded" or found.ended_in is None:
            raise NotFound(f"there is no output of {id!r}: {found.status}")
        return await value_in(services, found.run, found.ended_in, "output")

    return [given, output]


def _retry(services: Services) -> HTTPRouteHandler:
    @post("/retry", summary="Retry dead letters", status_code=200, request_max_body_size=MAX_BODY)
    async def retry(request: Request[Any, Any, Any]) -> Response[Any]:
        """One command a run, or a call where only some of a run's are meant; what came of each. `left`: there are more
        than 1,000 runs with such calls, and the rest waits for another request."""
        asked = read_retry(request.headers.get("content-type"), await request.body())
        with span_of(request.headers, "invocations.retry") as span:
            caller = caller_of(request.headers, span)
            chosen = Chosen(asked.run, asked.skill, asked.definition, asked.calls, asked.failure)
            found = await parked(services.pool, chosen, _MOST + 1)
            at_once = asyncio.Semaphore(_AT_ONCE)
            told = await asyncio.gather(*(_retried(services, each, caller, at_once) for each in found[:_MOST]))
        items = [outcome for outcomes in told for outcome in outcomes]
        position = max((item.position for item in items), default=services.live.position)
        body = {"items": items, "left": len(found) > _MOST, "_links": {"parked": link(PATH, status="parked")}}
        return Response(body, headers={"X-Position": str(position)})

    return retry


async def _retried(services: Services, of: Parked, caller: Caller, at_once: asyncio.Semaphore) -> list[RetryOutcome]:
    """One after the other: commands to the same run would only get into each other's way."""
    outcomes: list[RetryOutcome] = []
    async with at_once:
        for calls in [of.calls] if of.whole else [[call] for call in of.calls]:
            data = msgspec.json.encode({} if of.whole else {"call": calls[0]})
            command = CommandRequest(
                type="workflow.retry", id=new_id(), stream_id=of.run, stream_category="workflow", data=data
            )
            done = await services.handler.handle(command, caller)
            outcomes.append(RetryOutcome(of.run, calls, done.outcome, done.position, done.refusal, done.reason))
    return outcomes


def read_retry(kind: str | None, raw: bytes) -> RetryParked:
    """Raises BodyRefused, or InvalidCommand with every fault."""
    check_kind(kind)
    check_text(raw)
    try:
        document = msgspec.json.decode(raw or b"{}")
    except msgspec.DecodeError as error:
        raise BodyRefused("malformed", 400, where_malformed(raw, error)) from error
    try:
        asked = msgspec.convert(document, RetryParked)
    except msgspec.ValidationError as error:
        faults = sorted(faults_of_shape(_shape, document), key=lambda fault: fault.where)
        raise InvalidCommand(faults or [Fault("", str(error))]) from error
    if asked.all == any((asked.run, asked.skill, asked.definition, asked.calls, asked.failure)):
        raise InvalidCommand([Fault("", "give a run, a skill, a definition, a failure or calls, or else all: true")])
    return asked


def _actions(services: Services, row: Invocation) -> dict[str, Any]:
    if row.status != "parked":
        return {}
    actions = {"retry": ("workflow.retry", {"call": row.id}), "give_up": ("workflow.give_up", {"call": row.id})}
    of = {"category": "workflow", "id": row.run}
    return {
        name: {
            "href": f"{API}/commands",
            "method": "POST",
            "type": type,
            "body": {"type": type, "stream": of, "data": data},
            "schema": services.handler.routes[type].schema,
        }
        for name, (type, data) in actions.items()
    }


async def _known(services: Services, id: str) -> Invocation:
    check_id(_NAME, id)
    found = await call_of(services.pool, id)
    if found is None:
        raise _nothing(id)
    return found


def _nothing(id: str) -> NotFound:
    return NotFound(f"there is nothing called {id!r} among the {_NAME}")
