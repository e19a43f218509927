"""problem+json, the form of every error a front or the control socket answers."""

from __future__ import annotations

from http import HTTPStatus
from typing import Final

import msgspec
from aiohttp import web

CONTENT_TYPE: Final = "application/problem+json"


class Problem(msgspec.Struct, frozen=True, omit_defaults=True):
    title: str
    status: int
    detail: str
    type: str = "about:blank"
    faults: tuple[str, ...] = ()


def answer(problem: Problem, headers: dict[str, str] | None = None) -> web.Response:
    body = msgspec.json.encode(problem)
    return web.Response(status=problem.status, body=body, content_type=CONTENT_TYPE, headers=headers)


def problem(status: int, detail: str, *, retry_after: int | None = None) -> web.Response:
    headers = {} if retry_after is None else {"Retry-After": str(retry_after)}
    return answer(Problem(HTTPStatus(status).phrase, status, detail), headers)
