"""From the bytes of a request to rows of a model, and from its answer to bytes."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Final, NamedTuple, TypeVar, cast

import msgspec

from api.bodies import check_text, where_malformed
from api.problems import BodyRefused
from handlers.command import Fault, InvalidCommand
from models.serve.errors import ModelNotChosen
from models.serve.rows import Row, RowsInvalid, pointer
from models.serve.served import Answer, ServedVersion
from models.serve.serving import Predictor

T = TypeVar("T")
R = TypeVar("R")

MAX_BYTES: Final = 16_000_000
"""Of a request."""

_IN_THE_LOOP: Final = 50_000
"""Bytes of a request that are read without a thread."""

_MEMBERS: Final = ("model", "version", "features", "instances")


class PredictionBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Either the features of one row, or 1 to 10,000 instances of them."""

    model: str | None = None
    version: str | None = None
    features: msgspec.Raw = msgspec.Raw()
    instances: msgspec.Raw = msgspec.Raw()


class Prediction(msgspec.Struct, frozen=True):
    """`position` is that of the batch in the predictions' stream; what is not recorded has neither id nor position."""

    model: str
    version: str
    id: str | None
    prediction: str
    confidence: float
    position: int | None


class PredictedInstance(msgspec.Struct, frozen=True):
    id: str | None
    prediction: str
    confidence: float


class PredictedInstances(msgspec.Struct, frozen=True):
    """In the order of the request."""

    model: str
    version: str
    predictions: list[PredictedInstance]
    position: int | None


class Wanted(NamedTuple):
    served: ServedVersion
    rows: list[Row]
    single: bool


_decode = msgspec.json.Decoder(PredictionBody).decode


async def read_wanted(predictor: Predictor, raw: bytes) -> Wanted:
    """Raises BodyRefused, InvalidCommand with every fault, and what `Predictor.version` raises."""
    check_text(raw, MAX_BYTES)
    try:
        if b"\\u0000" in raw:
            return await _slowly(predictor, raw)
        try:
            return await _quickly(predictor, raw)
        except msgspec.DecodeError:
            return await _slowly(predictor, raw)
    except ModelNotChosen as error:
        raise InvalidCommand([Fault("/model", str(error))]) from error


def answer_of(wanted: Wanted, answer: Answer) -> Prediction | PredictedInstances:
    model, version = wanted.served.model_id, wanted.served.version
    ids: list[str] | list[None] = answer.ids or [None] * len(answer.predictions)
    found = [PredictedInstance(*each) for each in zip(ids, answer.predictions, answer.confidences, strict=True)]
    if wanted.single:
        return Prediction(model, version, found[0].id, found[0].prediction, found[0].confidence, answer.position)
    return PredictedInstances(model, version, found, answer.position)


async def _quickly(predictor: Predictor, raw: bytes) -> Wanted:
    """Raises msgspec.DecodeError for whatever is not as it should be."""
    body = await _read(_decode, raw, len(raw))
    single = bool(body.features)
    if single == bool(body.instances):
        raise msgspec.ValidationError(_EITHER.what)
    served = await predictor.version(body.model, body.version)
    rows = served.rows.one(body.features) if single else await _read(served.rows.many, body.instances, len(raw))
    return Wanted(served, rows, single)


async def _slowly(predictor: Predictor, raw: bytes) -> Wanted:
    document = await _read(_document, raw, len(raw))
    faults = _faults(document)
    if not isinstance(document, dict) or any(fault.where in ("/model", "/version") for fault in faults):
        raise InvalidCommand(faults)
    body = cast(Mapping[str, Any], document)
    served = await predictor.version(body.get("model"), body.get("version"))
    single, rows = "features" in body, list[Row]()
    try:
        if single:
            rows = served.rows.one_of(body["features"], "/features")
        elif "instances" in body:
            rows = await _read(partial(served.rows.many_of, where="/instances"), body["instances"], len(raw))
    except RowsInvalid as invalid:
        faults += [Fault(where, what) for where, what in invalid.faults]
    if faults:
        raise InvalidCommand(faults)
    return Wanted(served, rows, single)


async def _read(how: Callable[[T], R], what: T, size: int) -> R:
    """In a thread, where it takes long."""
    return how(what) if size <= _IN_THE_LOOP else await asyncio.to_thread(how, what)


def _document(raw: bytes) -> Any:
    """By Python's own reader: it takes NaN, so that a fault can say which feature it stands for."""
    try:
        return json.loads(raw)
    except RecursionError as error:
        raise BodyRefused("malformed", 400, "JSON is nested too deeply") from error
    except ValueError as error:
        raise BodyRefused("malformed", 400, where_malformed(raw, msgspec.DecodeError(str(error)))) from error


_EITHER: Final = Fault("", "give either `features` or `instances`")


def _faults(document: Any) -> list[Fault]:
    """Of everything around the rows."""
    if not isinstance(document, dict):
        return [Fault("", "must be an object")]
    body = cast(Mapping[str, Any], document)
    faults = [
        Fault(pointer("", name), f"there is no such member; those are {', '.join(_MEMBERS)}")
        for name in body
        if name not in _MEMBERS
    ]
    faults += [
        Fault(f"/{name}", "must be text") for name in ("model", "version") if not isinstance(body.get(name), str | None)
    ]
    return faults if ("features" in body) != ("instances" in body) else [*faults, _EITHER]
