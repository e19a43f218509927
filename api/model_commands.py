"""Commands about models that have a path of their own: labels, and retraining."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

import msgspec
from litestar import Request, Response, post
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath

from api.bodies import MAX_BODY, check_kind, check_text, where_malformed
from api.commands import CommandAnswer, Reply, headers_of, reply_to
from api.links import path_of
from api.problems import BodyRefused, Problem, ProblemFault
from api.services import Services
from domain import experiment, monitor
from eventstore.catalogue import tag_of
from eventstore.envelope import StreamId
from handlers.command import Fault, InvalidCommand
from models.data.cells import as_text
from models.serve.errors import ModelNotChosen

_RESERVED = frozenset({"trigger"})
"""Who asks over HTTP is somebody, not drift."""


def labels_handler(services: Services) -> HTTPRouteHandler:
    @post(
        "/models/{id:str}/labels",
        summary="Say what the right answers would have been",
        status_code=201,
        request_max_body_size=MAX_BODY,
    )
    async def labels(id: FromPath[str], request: Request[Any, Any, Any]) -> Response[Any]:
        """For predictions that are recorded, however late. Numbers and booleans name the class that is written so.

        A label that is given again counts once; the same `id` (or `Idempotency-Key`) is the same command.
        """
        document = await _document(request)
        await services.predictor.check(id)
        if isinstance(document.get("labels"), list):
            document["labels"] = [_as_named(label) for label in document["labels"]]
        return await _answer(services, request, tag_of(monitor.RecordLabels), id, document)

    return labels


def retrain_handler(services: Services) -> HTTPRouteHandler:
    @post("/retrain", summary="Train a model anew", status_code=201, request_max_body_size=MAX_BODY)
    async def retrain(request: Request[Any, Any, Any]) -> Response[Any]:
        """The data of `model.retrain`, and `model`, which can be left out where there is only one. The answer names
        the experiment, whose outcome is to be waited for."""
        document = await _document(request)
        faults = [Fault(f"/{name}", "is not for callers to say") for name in document.keys() & _RESERVED]
        model = document.pop("model", None)
        if not isinstance(model, str | None):
            faults.append(Fault("/model", "must be text"))
        if faults:
            raise InvalidCommand(faults)
        try:
            id: str = await services.predictor.only() if model is None else model
        except ModelNotChosen as error:
            raise InvalidCommand([Fault("/model", str(error))]) from error
        await services.predictor.check(id)
        return await _answer(services, request, "model.retrain", id, document)

    return retrain


async def _document(request: Request[Any, Any, Any]) -> dict[str, Any]:
    """Raises BodyRefused, InvalidCommand."""
    check_kind(request.headers.get("content-type"))
    raw = await request.body()
    check_text(raw)
    try:
        document = msgspec.json.decode(raw or b"{}")
    except msgspec.DecodeError as error:
        raise BodyRefused("malformed", 400, where_malformed(raw, error)) from error
    if not isinstance(document, dict):
        raise InvalidCommand([Fault("", "must be an object")])
    return cast(dict[str, Any], document)


def _as_named(label: Any) -> Any:
    """Classes have names, which data files may give as numbers. What is no label is left for the command to refuse."""
    if isinstance(label, dict):
        given = cast(Mapping[str, Any], label)
        value = given.get("label")
        if isinstance(value, bool | int | float) and abs(value) < 1e300:
            return {**given, "label": as_text(value)}
    return cast(Any, label)


async def _answer(
    services: Services, request: Request[Any, Any, Any], type: str, id: str, document: Mapping[str, Any]
) -> Response[Any]:
    """What the command is answered with; its faults are those of the body that it came in."""
    category = type.partition(".")[0]
    data = {name: value for name, value in document.items() if name != "id"}
    body = {"type": type, "stream": {"category": category, "id": id}, "data": data}
    body |= {"id": document["id"]} if "id" in document else {}
    headers = dict(request.headers.items())
    reply = await reply_to(services.handler, msgspec.json.encode(body), headers, instance=request.url.path)
    headers = headers_of(services, reply)
    kind = headers.pop("Content-Type")
    return Response(msgspec.json.encode(_told(reply)), status_code=reply.status, media_type=kind, headers=headers)


def _told(reply: Reply) -> Any:
    match reply.content:
        case Problem(faults=faults) as problem if faults:
            own = [ProblemFault(fault.where.removeprefix("/data"), fault.what) for fault in faults]
            detail = "; ".join(f"{fault.where or '/'}: {fault.what}" for fault in own)
            return msgspec.structs.replace(problem, faults=own, detail=detail)
        case Problem() as problem:
            return problem
        case CommandAnswer() as answer:
            return _with_experiment(answer)


def _with_experiment(answer: CommandAnswer) -> Any:
    opened = [event.stream for event in answer.events if event.type == tag_of(experiment.Requested)]
    if not opened:
        return answer
    category, id = StreamId.parse(opened[0])
    told: dict[str, Any] = msgspec.to_builtins(answer)
    return {**told, "experiment_id": id, "_links": {**told["_links"], "experiment": path_of(category, id)}}
