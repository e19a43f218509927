"""What a sender is told about its delivery."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, Final

import msgspec
from litestar import Request, Response

from api.links import path_of
from api.problems import CONTENT_TYPE, ProblemFault, problem
from handlers.command import Outcome
from records.channels.errors import NotGenuine

_FAULT: Final = re.compile(r"(/.*?) (is .*)", re.DOTALL)


class Taken(msgspec.Struct, frozen=True, omit_defaults=True):
    """What became of one message. `duplicate`: it had been delivered before."""

    record_id: str
    outcome: str
    position: int
    links: dict[str, str] = msgspec.field(name="_links")
    duplicate: bool = False
    refusal: str | None = None
    reason: str | None = None


class IntakeAnswer(msgspec.Struct, frozen=True):
    """All messages of one delivery, in its order."""

    records: list[Taken]


def fault_of(text: str) -> ProblemFault:
    """With the path that it begins with."""
    found = _FAULT.fullmatch(text)
    return ProblemFault(found[1], found[2]) if found else ProblemFault("", text)


def answered(outcomes: Sequence[Outcome], position: int, *, signed: bool) -> Response[Any]:
    taken = [
        Taken(
            outcome.stream.id,
            outcome.outcome,
            outcome.position,
            {"self": path_of(outcome.stream.category, outcome.stream.id)},
            outcome.duplicate,
            outcome.refusal,
            outcome.reason,
        )
        for outcome in outcomes
    ]
    new = any(each.outcome == "accepted" and not each.duplicate for each in taken)
    status = 201 if new and not signed else 200
    return Response(IntakeAnswer(taken), status_code=status, headers={"X-Position": str(position)})


def not_genuine(request: Request[Any, Any, Any], error: NotGenuine) -> Response[Any]:
    return refusing(request, 401, str(error), name="not-genuine")


def refusing(request: Request[Any, Any, Any], status: int, detail: str, **more: Any) -> Response[Any]:
    found = problem(status, detail, request.url.path, **more)
    return Response(found, status_code=status, media_type=CONTENT_TYPE)
