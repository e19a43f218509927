"""The control interface of a host; its calls are listed in `wire`."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar, get_args

import msgspec
from aiohttp import web

from sagas.targets.port import Release, ReleaseFailed, TargetRefused, TargetUnavailable, check_key
from sagas.targets.problem import Problem, answer
from sagas.targets.process import wire
from sagas.targets.process.effects import Effects
from sagas.targets.process.layout import Layout
from sagas.targets.process.ledger import Operation, Undo
from sagas.targets.process.reading import read_log
from sagas.targets.process.validation import validate

log = logging.getLogger(__name__)

T = TypeVar("T")
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def control(effects: Effects, layout: Layout) -> web.Application:
    async def do(request: web.Request) -> web.Response:
        operation: Operation = await _body(request, Operation)
        return _json(await effects.do(request.match_info["key"], operation))

    async def undo(request: web.Request) -> web.Response:
        undo: Undo = _query(request, "undo", Undo, None)
        await effects.undo(request.match_info["key"], undo)
        return web.Response(status=204)

    async def effect(request: web.Request) -> web.Response:
        return _json(await effects.effect(request.match_info["key"]))

    async def check(request: web.Request) -> web.Response:
        validate(await _body(request, Release))
        return web.Response(status=204)

    async def inventory(_: web.Request) -> web.Response:
        return _json(await effects.inventory())

    async def health(request: web.Request) -> web.Response:
        return _json(await effects.health(request.match_info["key"]))

    async def logs(request: web.Request) -> web.Response:
        key = request.match_info["key"]
        check_key(key)
        after, limit = _query(request, "after", int, 0), _query(request, "limit", int, 1000)
        return _json(await asyncio.to_thread(read_log, layout.logs, key, after, limit))

    async def front(request: web.Request) -> web.Response:
        return _json(effects.front(request.match_info["name"]))

    async def reading(request: web.Request) -> web.Response:
        return _json(await effects.reading(request.match_info["name"]))

    application = web.Application(middlewares=[_errors], client_max_size=16 * 1024 * 1024)
    application.add_routes(
        [
            web.put("/effects/{key}", do),
            web.delete("/effects/{key}", undo),
            web.get("/effects/{key}", effect),
            web.post("/validate", check),
            web.get("/releases", inventory),
            web.get("/releases/{key}/health", health),
            web.get("/releases/{key}/logs", logs),
            web.get("/fronts/{name}", front),
            web.get("/fronts/{name}/reading", reading),
        ]
    )
    return application


@web.middleware
async def _errors(request: web.Request, handler: Handler) -> web.StreamResponse:
    try:
        return await handler(request)
    except TargetRefused as error:
        return answer(Problem("refused", 409, str(error), wire.REFUSED, error.faults))
    except ReleaseFailed as error:
        return answer(Problem("the release failed", 422, str(error), wire.RELEASE_FAILED))
    except TargetUnavailable as error:
        return answer(Problem("unavailable", 503, str(error), wire.UNAVAILABLE))
    except web.HTTPException:
        raise
    except Exception as error:
        log.exception("%s %s", request.method, request.path)
        detail = f"the process host failed: {type(error).__name__}; its own log says more"
        return answer(Problem("unavailable", 503, detail, wire.UNAVAILABLE))


async def _body(request: web.Request, type: Any) -> Any:
    try:
        return msgspec.json.decode(await request.read(), type=type)
    except msgspec.DecodeError as error:
        raise TargetRefused([f"the body is not understood: {error}"]) from error


def _query(request: web.Request, name: str, type: Any, default: Any) -> Any:
    try:
        return msgspec.convert(request.query.get(name, default), type, strict=False)
    except msgspec.ValidationError as error:
        wanted = " or ".join(get_args(type)) or "a whole number"
        raise TargetRefused([f"{name} must be {wanted}"]) from error


def _json(value: object) -> web.Response:
    return web.Response(body=msgspec.json.encode(value), content_type="application/json")
