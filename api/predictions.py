"""`POST /predict`: by the version in use or a named one, recorded before it is answered."""

from __future__ import annotations

from time import perf_counter
from typing import Any, Final

import msgspec
from litestar import Request, Response, Router, post
from litestar.handlers import HTTPRouteHandler

from api.bodies import check_kind
from api.metrics import count_predictions
from api.model_commands import labels_handler, retrain_handler
from api.prediction_bodies import MAX_BYTES, answer_of, read_wanted
from api.queries import check_accept
from api.services import Services

_encode: Final = msgspec.json.Encoder().encode


def prediction_router(services: Services) -> Router:
    return Router(
        "/",
        route_handlers=[predict_handler(services), retrain_handler(services), labels_handler(services)],
        tags=["models"],
        before_request=check_accept,
    )


def predict_handler(services: Services) -> HTTPRouteHandler:
    @post("/predict", summary="Predict one row, or many", status_code=200, request_max_body_size=MAX_BYTES)
    async def predict(request: Request[Any, Any, Any]) -> Response[Any]:
        """`features` of one row, or `instances`, a list of them; each feature is given, as null where it is not known.

        Without `version` by the one in use; without `model` by the only one that has one. Where the model's policy
        records a part of the requests, `Idempotency-Key` decides whether this is one of them.
        """
        began = perf_counter()
        check_kind(request.headers.get("content-type"))
        wanted = await read_wanted(services.predictor, await request.body())
        key = request.headers.get("idempotency-key")
        answer = await services.predictor.predict(wanted.served, wanted.rows, key)
        content = _encode(answer_of(wanted, answer))
        count_predictions(wanted.served.model_id, wanted.served.version, perf_counter() - began, answer.confidences)
        return Response(content, media_type="application/json")

    return predict
