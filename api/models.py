"""What only models have: lists of their versions, metrics and verdicts of drift."""

from __future__ import annotations

from litestar import Router

from api.belongings import lists_of
from api.queries import check_accept
from api.services import Services


def model_router(services: Services) -> Router:
    return Router("/models", route_handlers=lists_of(services, "models"), tags=["models"], before_request=check_accept)
