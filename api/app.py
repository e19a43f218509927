"""The application: resources, errors, and the description of both."""

from __future__ import annotations

from typing import Any, Final, cast

from litestar import Litestar, Request, Response, Router, get
from litestar.openapi import OpenAPIConfig
from litestar.openapi.plugins import JsonRenderPlugin
from litestar.types import ASGIApp, Message, Scope

from api.bodies import MAX_BODY
from api.commands import commands_first, commands_router
from api.datasets import dataset_router, generate_handler
from api.deployments import deployment_router
from api.events import events_router
from api.execution import execute_handler
from api.features import feature_router
from api.inbound import inbound_router
from api.intake import intake_router
from api.invocations import invocation_router
from api.links import API
from api.metrics import count_request
from api.model_commands import retrain_handler
from api.models import model_router
from api.openapi import openapi_document
from api.predictions import predict_handler, prediction_router
from api.problems import on_error
from api.publishing import publishing_router
from api.quality import quality_router
from api.queries import query_routers
from api.records import record_routers
from api.services import Services
from api.skills import skill_router
from api.subscriptions import subscriptions_router
from api.system import system_routers
from api.workflows import workflow_routers

_METHODS: Final = frozenset({"GET", "POST", "HEAD", "OPTIONS", "PUT", "PATCH", "DELETE"})


def create_app(services: Services) -> Litestar:
    """Nothing is connected to here: `services` are open and closed by the caller."""
    under_api, at_root = system_routers(services)

    async def position(response: Response[Any]) -> Response[Any]:
        """Every answer says how far the log had come, unless it knows better."""
        response.headers.setdefault("X-Position", str(services.live.position))
        return response

    def on_any_error(request: Request[Any, Any, Any], error: Exception) -> Response[Any]:
        response = on_error(request, error)
        response.headers.setdefault("X-Position", str(services.live.position))
        return response

    @get(["/schema", "/schema/openapi.json"], include_in_schema=False)
    async def reference(request: Request[Any, Any, Any]) -> dict[str, Any]:
        return openapi_document(request.app, services.handler.routes)

    return Litestar(
        route_handlers=[
            reference,
            Router(
                API,
                route_handlers=[
                    commands_router(services),
                    events_router(services),
                    subscriptions_router(services),
                    publishing_router(services),
                    model_router(services),
                    feature_router(services),
                    *query_routers(services),
                    deployment_router(services),
                    inbound_router(services),
                    dataset_router(services),
                    prediction_router(services),
                    intake_router(services),
                    quality_router(services),
                    *record_routers(services),
                    skill_router(services),
                    *workflow_routers(services),
                    invocation_router(services),
                    execute_handler(services),
                    *under_api,
                ],
            ),
            at_root,
            _as_elsewhere(services),
        ],
        after_request=position,
        before_send=[_count],
        exception_handlers={Exception: on_any_error},
        request_max_body_size=4 * MAX_BODY,
        openapi_config=OpenAPIConfig(
            title="Sagacity",
            version="1",
            description="Commands in, read models and the whole history out. Errors are problem+json (RFC 9457).",
            path="/schema/generated",
            render_plugins=[JsonRenderPlugin()],
        ),
        logging_config=None,
    )


def _as_elsewhere(services: Services) -> Router:
    """Without a prefix, where other platforms have them."""
    makers = (predict_handler, retrain_handler, generate_handler, execute_handler)
    return Router("/", route_handlers=[make(services) for make in makers], include_in_schema=False)


def asgi(services: Services) -> ASGIApp:
    """What is served: the application, behind the short way for commands."""
    return commands_first(cast(ASGIApp, create_app(services)), services)


async def _count(message: Message, scope: Scope) -> None:
    if message["type"] == "http.response.start" and scope["type"] == "http" and "path_template" in scope:
        method = str(scope["method"])
        route = str(scope["path_template"]) or "none"
        count_request(method if method in _METHODS else "other", route, message["status"])
