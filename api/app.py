"""The application: resources, errors, and the description of both."""

from __future__ import annotations

from typing import Any

from litestar import Litestar, Request, Response, Router, get
from litestar.openapi import OpenAPIConfig
from litestar.openapi.plugins import JsonRenderPlugin

from api.commands import MAX_BODY, commands_router
from api.events import events_router
from api.openapi import openapi_document
from api.problems import on_error
from api.resources import resource_routers
from api.services import Services
from api.system import system_routers


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
                "/api/v1",
                route_handlers=[
                    commands_router(services),
                    events_router(services),
                    *resource_routers(services),
                    under_api,
                ],
            ),
            at_root,
        ],
        after_request=position,
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
