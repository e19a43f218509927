"""Predictions, labels and retraining in the API reference: bodies and answers, with examples."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from api import examples
from api.links import API, path_of
from api.prediction_bodies import PredictedInstances, Prediction
from api.problems import CONTENT_TYPE, STANDARD
from api.schemas import Document, list_of, ref, structure
from handlers.routes import Route
from models.serve.rows import MAX_ROWS

STRUCTS: Final = (Prediction, PredictedInstances)

_JSON: Final = "application/json"
_BATCH: Final = "01a1fcd3-00c2-73f4-89af-89efb3cc9989"
_FEATURES: Final = {"age": 41, "plan": "annual"}
_PREDICTED: Final = {"prediction": "yes", "confidence": 0.82}
_OF: Final = {"model": "churn", "version": "2"}
_VALUES: Final = {"type": "object", "additionalProperties": {"type": ["number", "string", "boolean", "null"]}}
_NAMED: Final = {"model": {"type": "string"}, "version": {"type": "string"}}


def describe_predictions(paths: Document, routes: Mapping[str, Route]) -> None:
    predict = paths[f"{API}/predict"]["post"]
    one = {"value": {"model": "churn", "features": _FEATURES}}
    many = {"value": {**_OF, "instances": [_FEATURES]}}
    _body(predict, _predict_schema(), {"one": one, "many": many})
    answers = {
        "one": {"value": {**_OF, "id": f"{_BATCH}.0", **_PREDICTED, "position": 8}},
        "many": {"value": {**_OF, "predictions": [{"id": f"{_BATCH}.0", **_PREDICTED}], "position": 8}},
    }
    schema = {"oneOf": [ref("Prediction"), ref("PredictedInstances")]}
    predict["responses"]["200"] = {
        "description": "Predicted, and recorded as the policy says",
        "content": {_JSON: {"schema": schema, "examples": answers}},
    }
    labels = paths[f"{API}/models/{{id}}/labels"]["post"]
    data = examples.COMMANDS["monitor.record_labels"]
    answer = {**examples.ANSWER, "stream": {"category": "monitor", "id": "churn"}}
    _command(labels, _labels_schema(), data, answer, ref("CommandAnswer"))
    retrain = paths[f"{API}/retrain"]["post"]
    data = {"model": "churn", **examples.COMMANDS["model.retrain"]}
    _command(retrain, _retrain_schema(routes["model.retrain"]), data, _RETRAINED, _WITH_EXPERIMENT)
    for path in ("predict", "retrain", "models/{id}/labels"):
        _refusals(paths[f"{API}/{path}"]["post"], f"{API}/{path}")


def _predict_schema() -> Document:
    instances = {**list_of(_VALUES), "minItems": 1, "maxItems": MAX_ROWS}
    properties = {**_NAMED, "features": _VALUES, "instances": instances}
    either: list[Document] = [{"required": ["features"]}, {"required": ["instances"]}]
    return {"type": "object", "additionalProperties": False, "properties": properties, "oneOf": either}


def _labels_schema() -> Document:
    label = structure({"prediction": {"type": "string"}, "label": {"type": ["string", "number", "boolean"]}})
    return {**structure({"labels": list_of(label)}), "properties": {"labels": list_of(label), **_ID}}


def _retrain_schema(route: Route) -> Document:
    command = f"#/components/schemas/{route.type}/properties"
    data: Document = {name: {"$ref": f"{command}/{name}"} for name in route.schema["properties"] if name != "trigger"}
    described = {"model": {"type": "string"}, **data, **_ID}
    return {"type": "object", "additionalProperties": False, "properties": described}


_ID: Final = {"id": {"type": "string", "description": "Of the command: sent twice it is done once"}}
_EXPERIMENT: Final = path_of("experiment", "churn-2")
_RETRAINED: Final[dict[str, Any]] = {
    **examples.ANSWER,
    "stream": {"category": "model", "id": "churn"},
    "experiment_id": "churn-2",
    "_links": {**examples.ANSWER["_links"], "experiment": _EXPERIMENT},
}
_WITH_EXPERIMENT: Final[Document] = {
    "allOf": [ref("CommandAnswer"), structure({"experiment_id": {"type": "string"}})],
}


def _command(operation: Document, schema: Document, data: Any, answer: Any, answered: Document) -> None:
    _body(operation, schema, {"": {"value": data}})
    accepted = {"schema": answered, "example": answer}
    again = {"schema": answered, "example": {**answer, "duplicate": True}}
    operation["responses"]["201"] = {"description": "Accepted and durable", "content": {_JSON: accepted}}
    operation["responses"]["200"] = {"description": "Accepted before", "content": {_JSON: again}}


def _refusals(operation: Document, path: str) -> None:
    for status in (404, 409, 422):
        name, title = STANDARD[status]
        example = {"type": f"/problems/{name}", "title": title, "status": status, "instance": path}
        content = {CONTENT_TYPE: {"schema": ref("Problem"), "example": example}}
        operation["responses"][str(status)] = {"description": title, "content": content}


def _body(operation: Document, schema: Document, examples: Document) -> None:
    operation["requestBody"] = {"required": True, "content": {_JSON: {"schema": schema, "examples": examples}}}
