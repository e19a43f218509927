"""Every error the API can answer with, in one place (RFC 9457). Nothing internal ever leaves."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

import asyncpg
import msgspec
from litestar import Request, Response
from litestar.exceptions import HTTPException, ValidationException
from nats.errors import Error as NatsError

from eventstore.envelope import new_id
from eventstore.errors import LogUnavailable, WriteTooLarge
from handlers.command import InvalidCommand
from handlers.inbound import InvalidCloudEvent
from projections.queries import BadQuery, NotReached

log = logging.getLogger(__name__)

CONTENT_TYPE = "application/problem+json"


class ProblemFault(msgspec.Struct, frozen=True):
    """One thing that is wrong: where (a JSON pointer, or a parameter's name), and what."""

    where: str
    what: str


class Problem(msgspec.Struct, frozen=True, omit_defaults=True):
    """RFC 9457, with every fault at once."""

    type: str
    title: str
    status: int
    detail: str = ""
    instance: str = ""
    faults: list[ProblemFault] = []
    command_id: str | None = None
    position: int | None = None
    duplicate: bool = False


class NotFound(Exception):
    """There is no such resource."""


class BodyRefused(Exception):
    """The request's body cannot be read; `name` and `status` say why."""

    def __init__(self, name: str, status: int, detail: str) -> None:
        super().__init__(detail)
        self.name, self.status = name, status


_TITLES = {
    400: "The request cannot be read",
    404: "There is no such resource",
    405: "This resource does not take that method",
    409: "Refused",
    413: "The request is too large",
    415: "The content type is not supported",
    422: "The request is not valid",
    500: "Something went wrong here",
    503: "Not available now",
    504: "Not in time",
}


def problem(name: str, status: int, detail: str, request: Request[Any, Any, Any], **more: Any) -> Response[Problem]:
    body = Problem(f"/problems/{name}", _TITLES.get(status, "Error"), status, detail, request.url.path, **more)
    headers = {"Retry-After": "1"} if status == 503 else {}
    return Response(body, status_code=status, media_type=CONTENT_TYPE, headers=headers)


def on_error(request: Request[Any, Any, Any], error: Exception) -> Response[Problem]:
    """The table: what went wrong → what the caller is told."""
    match error:
        case InvalidCommand() | InvalidCloudEvent():
            return problem("invalid", 422, str(error), request, faults=_faults(error.faults))
        case BadQuery():
            faults = [ProblemFault(name, what) for name, what in error.faults]
            return problem("invalid-query", 422, str(error), request, faults=faults)
        case NotFound():
            return problem("not-found", 404, str(error), request)
        case BodyRefused():
            return problem(error.name, error.status, str(error), request)
        case NotReached():
            return problem("position-not-reached", 504, str(error), request, position=error.reached)
        case WriteTooLarge():
            return problem("too-large", 413, str(error), request)
        case LogUnavailable() | NatsError():
            return problem("log-unavailable", 503, "the log cannot be reached now; send the same again", request)
        case asyncpg.PostgresError() | asyncpg.InterfaceError() | OSError() | TimeoutError():
            return problem("read-models-unavailable", 503, "the read models cannot be reached now", request)
        case ValidationException():
            return problem("invalid-query", 422, error.detail, request, faults=_validation(error))
        case HTTPException():
            name = _TITLES.get(error.status_code, "error").lower().replace(" ", "-")
            return problem(name, error.status_code, str(error.detail), request)
        case _:
            reference = new_id()
            log.error("unexpected error %s on %s", reference, request.url.path, exc_info=error)
            return problem("unexpected", 500, f"it is in the log under {reference}", request)


def _faults(faults: Sequence[Any]) -> list[ProblemFault]:
    return [ProblemFault(fault.where, fault.what) for fault in faults]


def _validation(error: ValidationException) -> list[ProblemFault]:
    extra: Any = error.extra or []
    return [ProblemFault(str(each.get("key", "")), str(each.get("message", ""))) for each in extra if "message" in each]
