"""Every error the API can answer with, in one place (RFC 9457). Nothing internal ever leaves."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from typing import Any, Final

import asyncpg
import msgspec
from litestar import Request, Response
from litestar.exceptions import HTTPException, LitestarException, ValidationException
from litestar.exceptions.http_exceptions import RequestEntityTooLarge
from nats.errors import Error as NatsError

from eventstore.envelope import new_id
from eventstore.errors import HistoryBroken, LogFull, LogMissing, LogUnavailable, UnknownEvent, WriteTooLarge
from handlers.command import InvalidCommand, Outcome
from handlers.inbound import InvalidCloudEvent
from models.serve.errors import NoActiveVersion, Overloaded, UnknownModel, Unpredictable, VersionUnusable
from projections.queries import BadQuery, NotReached
from sagas.targets.port import TargetRefused, TargetUnavailable

log = logging.getLogger(__name__)

CONTENT_TYPE: Final = "application/problem+json"
RETRY_AFTER: Final = "1"
"""Seconds."""


class ProblemFault(msgspec.Struct, frozen=True):
    """One thing that is wrong: where (a JSON pointer, or a parameter's name), and what."""

    where: str
    what: str


class Problem(msgspec.Struct, frozen=True, omit_defaults=True):
    """RFC 9457, with every fault at once. What follows `faults` is there when it says something."""

    type: str
    title: str
    status: int
    detail: str = ""
    instance: str = ""
    faults: list[ProblemFault] = []
    command_id: str | None = None
    position: int | None = None
    refusal: str | None = None
    stream: str | None = None
    current_version: int | None = None
    expected_version: int | None = None
    projection: str | None = None
    duplicate: bool = False


class NotFound(Exception):
    """There is no such resource."""


class BodyRefused(Exception):
    """The request's body cannot be read; `name` and `status` say why."""

    def __init__(self, name: str, status: int, detail: str) -> None:
        super().__init__(detail)
        self.name, self.status = name, status


class NotAcceptable(Exception):
    """The caller accepts none of what this resource can answer with."""


STANDARD: Final = {
    400: ("malformed", "The request cannot be read"),
    401: ("not-genuine", "The sender is not who it says"),
    404: ("not-found", "There is no such resource"),
    405: ("method-not-allowed", "This resource does not take that method"),
    406: ("not-acceptable", "There is no answer of that kind"),
    409: ("refused", "Refused"),
    413: ("too-large", "The request is too large"),
    415: ("unsupported-media-type", "The content type is not supported"),
    422: ("invalid", "The request is not valid"),
    500: ("unexpected", "Something went wrong here"),
    503: ("unavailable", "Not available now"),
    504: ("position-not-reached", "Not in time"),
    507: ("log-full", "No room left"),
}
"""Status → (name, title) where nothing more is known."""


def problem(status: int, detail: str, instance: str, *, name: str = "", **more: Any) -> Problem:
    standard, title = STANDARD.get(status, ("error", "Error"))
    return Problem(f"/problems/{name or standard}", title, status, detail, instance, **more)


def problem_of(error: Exception, instance: str) -> Problem:
    """The table: what went wrong → what the caller is told."""
    match error:
        case InvalidCommand() | InvalidCloudEvent():
            faults = _faults((fault.where, fault.what) for fault in error.faults)
            return problem(422, str(error), instance, faults=faults)
        case BadQuery():
            return problem(422, str(error), instance, name="invalid-query", faults=_faults(error.faults))
        case ValidationException():
            faults = _validation(error)
            detail = "; ".join(f"{fault.where}: {fault.what}" for fault in faults) or error.detail
            return problem(422, detail, instance, name="invalid-query", faults=faults)
        case NotFound() | UnknownModel():
            return problem(404, str(error), instance)
        case NotAcceptable():
            return problem(406, str(error), instance)
        case BodyRefused():
            return problem(error.status, str(error), instance, name=error.name)
        case RecursionError():
            return problem(400, "the document is nested too deeply", instance)
        case NotReached():
            return problem(504, str(error), instance, projection=error.name, position=error.reached)
        case WriteTooLarge():
            return problem(413, str(error), instance)
        case LogFull():
            return problem(507, f"{error}; nothing was recorded: send the same again when there is room", instance)
        case LogUnavailable() | LogMissing() | NatsError():
            return problem(503, "the log cannot be reached now; send the same again", instance, name="log-unavailable")
        case NoActiveVersion():
            name = "no_active_version"
            return problem(409, str(error), instance, name=name.replace("_", "-"), refusal=name)
        case Unpredictable():
            return problem(422, f"the model finds no answer: {error}", instance, name="unpredictable")
        case Overloaded():
            return problem(503, f"{error}; send the same again", instance, name="overloaded")
        case VersionUnusable():
            return problem(503, str(error), instance, name="version-unusable")
        case TargetUnavailable():
            return problem(503, "the target does not answer now", instance, name="target-unavailable")
        case TargetRefused():
            return problem(409, str(error), instance, name="target-refused")
        case asyncpg.DataError():
            return problem(422, "a value of the query is out of range", instance, name="invalid-query")
        case asyncpg.PostgresError() | asyncpg.InterfaceError() | OSError() | TimeoutError():
            return problem(503, "the read models cannot be reached now", instance, name="read-models-unavailable")
        case HTTPException():
            return problem(error.status_code, _detail(error), instance)
        case _:
            return _unexpected(error, instance)


def refusal_of(outcome: Outcome, instance: str, expected_version: int | None = None) -> Problem:
    """The recorded refusal of a command, by its business name; a conflict says which version it is about."""
    name = outcome.refusal or "refused"
    conflict = name == "version_conflict"
    return problem(
        409,
        outcome.reason or "",
        instance,
        name=name.replace("_", "-"),
        command_id=outcome.command_id,
        position=outcome.position,
        refusal=name,
        stream=str(outcome.stream),
        current_version=outcome.version if conflict else None,
        expected_version=expected_version if conflict else None,
        duplicate=outcome.duplicate,
    )


def on_error(request: Request[Any, Any, Any], error: Exception) -> Response[Problem]:
    found = problem_of(error, request.url.path)
    if isinstance(error, RequestEntityTooLarge):
        found = msgspec.structs.replace(found, detail=_limit_of(request))
    headers = {"Retry-After": RETRY_AFTER} if found.status == 503 else {}
    if found.status == 405:
        headers["Allow"] = ", ".join(_allowed(request))
    return Response(found, status_code=found.status, media_type=CONTENT_TYPE, headers=headers)


def _limit_of(request: Request[Any, Any, Any]) -> str:
    """Of a resource that has one of its own: others read less than the server would take."""
    limit = request.route_handler.request_max_body_size
    return f"at most {limit} bytes" if isinstance(limit, int) else ""


def _allowed(request: Request[Any, Any, Any]) -> list[str]:
    allowed: list[str] = []
    for method in ("GET", "POST"):
        try:
            request.app.asgi_router.handle_routing(path=request.scope["path"], method=method)
        except LitestarException:
            continue
        allowed.append(method)
    return [*allowed, "OPTIONS"]


def _unexpected(error: Exception, instance: str) -> Problem:
    reference = new_id()
    log.error("unexpected error %s on %s", reference, instance, exc_info=error)
    match error:
        case HistoryBroken():
            name, detail = "history-broken", "the log does not hold what it must hold; `sagacity verify` says more"
        case UnknownEvent():
            name, detail = "unknown-event", "the log holds an event that this program cannot read"
        case _:
            name, detail = "", "an unexpected error"
    return problem(500, f"{detail}; it is in the log under {reference}", instance, name=name)


def _faults(pairs: Iterable[tuple[str, str]]) -> list[ProblemFault]:
    return [ProblemFault(where, what) for where, what in pairs]


def _validation(error: ValidationException) -> list[ProblemFault]:
    extra: Any = error.extra or []
    return [ProblemFault(str(each.get("key", "")), str(each.get("message", ""))) for each in extra if "message" in each]


def _detail(error: HTTPException) -> str:
    """Litestar's own words only where they say more than the status."""
    return "" if error.status_code in (404, 405, 413) else str(error.detail)
