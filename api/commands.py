"""`POST /commands` and what became of one."""

from __future__ import annotations

import time
from typing import Any, Final

import msgspec
from litestar import Request, Response, Router, get, post

from api.callers import caller_of
from api.metrics import COMMAND_SECONDS, COMMANDS
from api.problems import BodyRefused, NotFound, problem
from api.services import Services
from handlers.command import CausedEvent, CommandRequest, Outcome

MAX_BODY: Final = 1_000_000
"""Bytes. A command must fit one message of the log, together with its context."""


class StreamReference(msgspec.Struct, frozen=True, omit_defaults=True):
    id: str | None = None
    category: str | None = None


class CommandBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    type: str
    data: msgspec.Raw = msgspec.Raw(b"{}")
    id: str | None = None
    stream: StreamReference | str | None = None
    expected_version: int | None = None


class Stream(msgspec.Struct, frozen=True):
    category: str
    id: str


class CommandAnswer(msgspec.Struct, frozen=True, omit_defaults=True):
    """The recorded outcome. `position` may be given to any query as `min_position`."""

    command_id: str
    outcome: str
    stream: Stream
    version: int
    position: int
    events: list[CausedEvent]
    links: dict[str, str] = msgspec.field(name="_links")
    duplicate: bool = False


_decode = msgspec.json.Decoder(CommandBody).decode
_encode = msgspec.json.Encoder().encode


def read_body(raw: bytes) -> CommandRequest:
    """Raises BodyRefused."""
    if len(raw) > MAX_BODY:
        raise BodyRefused("too-large", 413, f"{len(raw)} bytes; at most {MAX_BODY}")
    try:
        body = _decode(raw)
    except msgspec.ValidationError as error:
        raise BodyRefused("invalid", 422, str(error)) from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise BodyRefused("malformed", 400, str(error)) from error
    stream = StreamReference(body.stream) if isinstance(body.stream, str) else body.stream
    return CommandRequest(
        type=body.type,
        data=bytes(body.data),
        id=body.id,
        stream_id=stream.id if stream else None,
        stream_category=stream.category if stream else None,
        expected_version=body.expected_version,
    )


def answer(outcome: Outcome) -> CommandAnswer:
    category, id = outcome.stream
    return CommandAnswer(
        outcome.command_id,
        outcome.outcome,
        Stream(category, id),
        outcome.version,
        outcome.position,
        list(outcome.events),
        {
            "self": f"/api/v1/commands/{outcome.command_id}",
            "resource": f"/api/v1/{category}s/{id}",
            "events": f"/api/v1/{category}s/{id}/events",
        },
        outcome.duplicate,
    )


def refusal(outcome: Outcome, request: Request[Any, Any, Any]) -> Response[Any]:
    name = (outcome.refusal or "refused").replace("_", "-")
    return problem(
        name,
        409,
        outcome.reason or "",
        request,
        command_id=outcome.command_id,
        position=outcome.position,
        duplicate=outcome.duplicate,
    )


def commands_router(services: Services) -> Router:
    @post("/commands", summary="Send a command", status_code=201)
    async def send(request: Request[Any, Any, Any]) -> Response[Any]:
        """Accepted and durable: 201; accepted before under this id: 200; refused, and recorded: 409."""
        began = time.perf_counter()
        command = read_body(await request.body())
        key = request.headers.get("idempotency-key")
        if key and command.id is None:
            command = msgspec.structs.replace(command, id=key)
        outcome = await services.handler.handle(command, caller_of(request.headers))
        COMMANDS.labels(outcome.command, outcome.outcome).inc()
        COMMAND_SECONDS.observe(time.perf_counter() - began)
        headers = {"X-Position": str(outcome.position)}
        if outcome.outcome == "refused":
            response = refusal(outcome, request)
            response.headers.update(headers)
            return response
        return Response(
            _encode(answer(outcome)),
            status_code=200 if outcome.duplicate else 201,
            media_type="application/json",
            headers=headers,
        )

    @get("/commands/{command_id:str}", summary="What became of a command")
    async def outcome(command_id: str, request: Request[Any, Any, Any]) -> Response[Any]:
        """The recorded outcome, straight from the log."""
        found = await services.handler.outcome(command_id)
        if found is None:
            raise NotFound(f"no command {command_id!r} was ever recorded")
        body: dict[str, Any] = msgspec.to_builtins(answer(found))
        body |= {"command": found.command, "time": found.time}
        if found.outcome == "refused":
            body |= {"refusal": found.refusal, "reason": found.reason}
        return Response(body, headers={"X-Position": str(found.position)})

    return Router("/", route_handlers=[send, outcome], tags=["commands"])
