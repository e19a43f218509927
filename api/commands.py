"""`POST /commands` and what became of one.

The endpoint is plain ASGI in front of Litestar's routing: bytes in, one decode, one encode, bytes out. Litestar knows
the route too, for the reference and for whoever writes the path differently.
"""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

import asyncpg
import msgspec
from litestar import Request, Response, Router, get, post
from litestar.params import FromPath
from litestar.types import ASGIApp, Receive, Scope, Send

from api.bodies import MAX_BODY, check_kind, check_text, read_body
from api.callers import HEADERS, caller_of, span_of
from api.links import API, path_of
from api.metrics import COMMAND_SECONDS, count_command
from api.problems import CONTENT_TYPE, RETRY_AFTER, BodyRefused, NotFound, Problem, problem_of, refusal_of
from api.services import Services
from api.waiting import MinPosition, Wait, log_reached
from eventstore.errors import LogUnavailable
from handlers.command import CausedEvent, CommandRequest, Outcome
from handlers.command_handler import CommandHandler
from projections.queries import NotReached, ReadModels

PATH: Final = f"{API}/commands"
LONGEST_WAIT: Final = 30.0
"""Seconds."""

_PATIENCE: Final = 64
"""Times the limit of a body: as much is taken in before an answer."""

_HEADERS: Final = HEADERS | {"content-type", "idempotency-key", "prefer"}
_RAW_HEADERS: Final = frozenset(name.encode() for name in _HEADERS)
_WAIT: Final = re.compile(r"(?:^|[,;\s])wait\s*=\s*(\d{1,6}(?:\.\d{1,6})?)", re.IGNORECASE)


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


class Reply(NamedTuple):
    """What any edge answers a command with; `status` is HTTP's."""

    status: int
    content: CommandAnswer | Problem
    waited: float | None = None
    """Seconds of the caller's `Prefer: wait` that was honoured: the read model knows the outcome now."""


def answer(outcome: Outcome) -> CommandAnswer:
    category, id = outcome.stream
    path = path_of(category, id)
    return CommandAnswer(
        outcome.command_id,
        outcome.outcome,
        Stream(category, id),
        outcome.version,
        outcome.position,
        list(outcome.events),
        {"self": f"{PATH}/{outcome.command_id}", "resource": path, "events": f"{path}/events"},
        outcome.duplicate,
    )


async def reply_to(
    handler: CommandHandler, raw: bytes, headers: Mapping[str, str], *, type: str = "", instance: str = PATH
) -> Reply:
    """Read, handle and answer one command; never raises. `type` stands for the body's own where a subject says it."""
    command_id: str | None = None
    began = time.perf_counter()
    with span_of(headers, "command") as span:
        try:
            command = read_body(named(type, raw) if type else raw, handler.routes, headers.get("idempotency-key"))
            command_id = command.id
            outcome = await handler.handle(command, caller_of(headers, span))
        except LogUnavailable as error:
            count_command("", "unavailable")
            found = problem_of(error, instance)
            return Reply(found.status, msgspec.structs.replace(found, command_id=command_id))
        except Exception as error:
            found = problem_of(error, instance)
            count_command("", "invalid" if found.status < 500 else "failed")
            return Reply(found.status, found)
        span.set_attribute("sagacity.command", outcome.command)
        span.set_attribute("sagacity.outcome", outcome.outcome)
    count_command(outcome.command, "duplicate" if outcome.duplicate else outcome.outcome)
    COMMAND_SECONDS.observe(time.perf_counter() - began)
    return _reply(command, outcome, instance)


def _reply(command: CommandRequest, outcome: Outcome, instance: str) -> Reply:
    if outcome.outcome == "refused":
        return Reply(409, refusal_of(outcome, instance, command.expected_version))
    return Reply(200 if outcome.duplicate else 201, answer(outcome))


def named(type: str, raw: bytes) -> bytes:
    """The body with the type that its subject names. Raises BodyRefused when it names another one itself."""
    check_text(raw)
    try:
        fields = msgspec.json.decode(raw or b"{}", type=dict[str, msgspec.Raw])
    except (msgspec.DecodeError, RecursionError):
        return raw
    own = msgspec.json.encode(type)
    if bytes(fields.get("type", own)) != own:
        raise BodyRefused("invalid", 422, f"the body names another command than the subject, {type}")
    return msgspec.json.encode({**fields, "type": msgspec.Raw(own)})


def commands_first(application: ASGIApp, services: Services) -> ASGIApp:
    """`POST /api/v1/commands` answered before any routing; all else goes on to `application`."""

    async def route(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["path"] == PATH and scope["method"] == "POST":
            await _answer(services, scope, receive, send)
        else:
            await application(scope, receive, send)

    return route


async def _answer(services: Services, scope: Any, receive: Receive, send: Send) -> None:
    headers = {
        name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"] if name in _RAW_HEADERS
    }
    reply = await _over_http(services, await _body(receive), headers)
    status, extra = reply.status, headers_of(services, reply)
    body = _encode(reply.content)
    await send(
        {
            "type": "http.response.start",
            "status": status,
            "headers": [
                *((name.lower().encode(), value.encode("latin-1")) for name, value in extra.items()),
                (b"content-length", b"%d" % len(body)),
            ],
        }
    )
    await send({"type": "http.response.body", "body": body, "more_body": False})


async def _body(receive: Receive) -> bytes:
    """Of a body that is too large, as much as shows that it is. The rest is taken in and forgotten, up to a point:
    who is answered while still sending may see a broken connection instead of the answer."""
    parts: list[bytes] = []
    size, more = 0, True
    while more and size <= _PATIENCE * MAX_BODY:
        message: Any = await receive()
        part = message.get("body", b"")
        if size <= MAX_BODY:
            parts.append(part)
        size += len(part)
        more = message.get("more_body", False)
    return parts[0] if len(parts) == 1 else b"".join(parts)


async def _over_http(services: Services, raw: bytes, headers: Mapping[str, str]) -> Reply:
    try:
        check_kind(headers.get("content-type"))
    except BodyRefused as refused:
        return Reply(refused.status, problem_of(refused, PATH))
    reply = await reply_to(services.handler, raw, headers)
    wait = _WAIT.search(headers["prefer"]) if "prefer" in headers else None
    if wait is not None and isinstance(reply.content, CommandAnswer):
        return await _visible(services.models, reply, min(float(wait[1]), LONGEST_WAIT))
    return reply


async def _visible(models: ReadModels, reply: Reply, wait: float) -> Reply:
    """The command is done in any case; waiting for its effect in the read model is a courtesy that may fail."""
    assert isinstance(reply.content, CommandAnswer)
    name = f"{reply.content.stream.category}s"
    try:
        models.model(name)
        await models.wait_for(name, reply.content.position, wait)
    except (KeyError, NotReached, asyncpg.PostgresError, asyncpg.InterfaceError, OSError, TimeoutError):
        return reply
    return reply._replace(waited=wait)


def headers_of(services: Services, reply: Reply) -> dict[str, str]:
    position = reply.content.position
    headers = {
        "Content-Type": CONTENT_TYPE if isinstance(reply.content, Problem) else "application/json",
        "X-Position": str(services.live.position if position is None else position),
    }
    if reply.status == 503:
        headers["Retry-After"] = RETRY_AFTER
    if reply.waited is not None:
        headers["Preference-Applied"] = f"wait={reply.waited:g}"
    return headers


_encode = msgspec.json.Encoder().encode


def commands_router(services: Services) -> Router:
    @post("/commands", summary="Send a command", status_code=201, tags=["commands"])
    async def send(request: Request[Any, Any, Any]) -> Response[Any]:
        """Accepted and durable: 201; accepted before under this id: 200; refused, and recorded: 409.

        `Prefer: wait=<seconds>` waits until the read model shows it, as `Preference-Applied` then says.
        """
        headers = {name: value for name, value in request.headers.items() if name in _HEADERS}
        reply = await _over_http(services, await request.body(), headers)
        headers = headers_of(services, reply)
        kind = headers.pop("Content-Type")
        return Response(_encode(reply.content), status_code=reply.status, media_type=kind, headers=headers)

    @get("/commands/{command_id:str}", summary="What became of a command", tags=["commands"])
    async def outcome(command_id: FromPath[str], min_position: MinPosition = None, wait: Wait = 5.0) -> Response[Any]:
        """The recorded outcome, straight from the log."""
        known = await log_reached(services, min_position, wait)
        found = await services.handler.outcome(command_id)
        if found is None:
            raise NotFound(f"no command {command_id[:100]!r} was ever recorded")
        body: dict[str, Any] = msgspec.to_builtins(answer(found))
        body |= {"command": found.command, "time": found.time}
        if found.outcome == "refused":
            body |= {"refusal": found.refusal, "reason": found.reason}
        return Response(body, headers={"X-Position": str(max(known, found.position))})

    return Router("/", route_handlers=[send, outcome])
