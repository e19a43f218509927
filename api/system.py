"""How the platform is: projections, probes and metrics."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final, Literal

import msgspec
from litestar import MediaType, Request, Response, Router, get, post
from litestar.params import FromPath
from prometheus_client import generate_latest

from api import metrics
from api.callers import HEADERS, caller_of, span_of
from api.commands import answer
from api.links import API, path_of
from api.measuring import measure
from api.problems import NotFound
from api.queries import history
from api.services import Services
from api.waiting import MinPosition, Wait, log_reached
from eventstore.errors import LogMisconfigured, LogMissing
from handlers.command import CommandRequest
from projections.queries import ProjectionStatus

_PATIENCE: Final = 2.0

Verdict = Literal["ok", "degraded", "failing"]


class DependencyHealth(msgspec.Struct, frozen=True):
    verdict: Verdict
    detail: str


class Health(msgspec.Struct, frozen=True):
    """`ok`: all well; `degraded`: it answers, but something needs attention; `failing`: it cannot do its work."""

    status: Verdict
    dependencies: dict[str, DependencyHealth]


def system_routers(services: Services) -> tuple[list[Router], Router]:
    """(under /api/v1, at the root)"""

    @get("/projections", summary="Position and lag of every read model")
    async def projections(min_position: MinPosition = None, wait: Wait = 5.0) -> Response[list[ProjectionStatus]]:
        """`min_position` waits for the log, not for the read models: how far they are behind is what this tells."""
        await log_reached(services, min_position, wait)
        statuses = await services.models.statuses()
        head = max((status.head for status in statuses), default=services.live.position)
        return Response(statuses, headers={"X-Position": str(head)})

    @get("/projections/{name:str}", summary="Position and lag of one read model")
    async def projection(name: FromPath[str], min_position: MinPosition = None, wait: Wait = 5.0) -> Response[Any]:
        """With the rebuild under way, or the report of the last one."""
        await log_reached(services, min_position, wait)
        for status in await services.models.statuses():
            if status.name == name:
                body: dict[str, Any] = msgspec.to_builtins(status)
                path = path_of("projection", name)
                body["_links"] = {"self": path, "events": f"{path}/events", "rows": f"{API}/{name}"}
                body["_actions"] = {"rebuild": {"href": f"{path}/rebuild", "method": "POST"}}
                return Response(body, headers={"X-Position": str(status.head)})
        raise NotFound(f"there is no projection {name[:100]!r}")

    @post("/projections/{name:str}/rebuild", summary="Build a read model anew", status_code=202)
    async def rebuild(name: FromPath[str], request: Request[Any, Any, Any]) -> Response[Any]:
        """Beside the live tables; `GET /projections` shows the progress. The request is a command on the record."""
        try:
            services.models.model(name)
        except KeyError as error:
            raise NotFound(f"there is no projection {name[:100]!r}") from error
        key = request.headers.get("idempotency-key")
        command = CommandRequest(type="projection.rebuild", stream_id=name, id=key)
        headers = {name: value for name, value in request.headers.items() if name in HEADERS}
        with span_of(headers, "command") as span:
            outcome = await services.handler.handle(command, caller_of(headers, span))
        return Response(answer(outcome), status_code=202, headers={"X-Position": str(outcome.position)})

    @get("/health/live", summary="Is the process alive?")
    async def live() -> dict[str, str]:
        return {"status": "ok"}

    @get("/health/startup", summary="Has it started?")
    async def startup() -> dict[str, str]:
        return {"status": "ok"}

    @get(["/health", "/health/ready"], summary="Can it do its work?")
    async def ready() -> Response[Health]:
        health = await health_of(services)
        return Response(health, status_code=503 if health.status == "failing" else 200)

    @get("/metrics", summary="Prometheus", media_type=MediaType.TEXT)
    async def prometheus() -> Response[bytes]:
        await measure(services)
        return Response(generate_latest(metrics.REGISTRY), media_type="text/plain; version=0.0.4; charset=utf-8")

    under_api = [
        Router(
            "/",
            route_handlers=[projections, projection, rebuild],
            tags=["platform"],
        ),
        Router("/projections", route_handlers=[history(services, "projections", "projection")], tags=["platform"]),
    ]
    return under_api, Router("/", route_handlers=[live, startup, ready, prometheus], tags=["platform"])


async def health_of(services: Services) -> Health:
    """Without the log or the read models there is no work to do. What halts on every instance alike (a projection,
    the live feed) only degrades: taking all of them out of service would turn a late answer into none."""
    names = ["log", "read_models", "projections", "live"]
    asked = [_log(services), _database(services), _projections(services), _live(services)]
    if services.running is not None:
        names.append("releases")
        asked.append(_releases(services.running))
    found = await asyncio.gather(*asked)
    dependencies: dict[str, DependencyHealth] = dict(zip(names, found, strict=True))
    verdicts = {each.verdict for each in found}
    status: Verdict = "failing" if "failing" in verdicts else "degraded" if "degraded" in verdicts else "ok"
    return Health(status, dependencies)


async def _live(services: Services) -> DependencyHealth:
    if services.live.fault is not None:
        return DependencyHealth("degraded", f"live events stand still: {services.live.fault}")
    return DependencyHealth("ok", f"{services.live.subscribers} subscriptions, at position {services.live.position}")


async def _log(services: Services) -> DependencyHealth:
    try:
        state = await asyncio.wait_for(services.store.state(), _PATIENCE)
    except (LogMissing, LogMisconfigured) as error:
        return DependencyHealth("failing", str(error))
    except Exception:
        return DependencyHealth("failing", "the log does not answer")
    if services.store.full is not None:
        return DependencyHealth("degraded", f"commands are refused: {services.store.full}")
    return DependencyHealth("ok", f"last position {state.last}")


async def _database(services: Services) -> DependencyHealth:
    try:
        await asyncio.wait_for(services.pool.fetchval("SELECT 1"), _PATIENCE)
    except Exception:
        return DependencyHealth("failing", "PostgreSQL does not answer")
    return DependencyHealth("ok", "PostgreSQL answers")


async def _projections(services: Services) -> DependencyHealth:
    try:
        statuses = await asyncio.wait_for(services.models.statuses(), _PATIENCE)
    except Exception:
        return DependencyHealth("failing", "no word of the projections")
    halted = [f"{each.name} is {each.state}: {each.reason}" for each in statuses if each.state in ("halted", "stalled")]
    if halted:
        return DependencyHealth("degraded", "; ".join(halted))
    return DependencyHealth("ok", f"{len(statuses)} projections, at most {_most(statuses)} events behind")


async def _releases(running: Callable[[], Awaitable[Sequence[Any]]]) -> DependencyHealth:
    try:
        found = await asyncio.wait_for(running(), _PATIENCE)
    except Exception:
        return DependencyHealth("degraded", "the process host does not answer: no deployment can go on")
    return DependencyHealth("ok", f"{len(found)} releases run here")


def _most(statuses: list[ProjectionStatus]) -> int:
    return max((each.lag_events for each in statuses), default=0)
