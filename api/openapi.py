"""The API reference: what Litestar knows of the routes, with bodies, answers, errors and examples from the types.

Bodies are read and written as bytes for speed; they would otherwise be missing from it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

import msgspec
from litestar import Litestar

from api import examples
from api.commands import CommandAnswer
from api.dataset_reference import STRUCTS as DATASET_STRUCTS
from api.dataset_reference import describe_datasets
from api.feature_reference import STRUCTS as FEATURE_STRUCTS
from api.feature_reference import describe_belongings, describe_values
from api.links import API
from api.prediction_reference import STRUCTS as PREDICTION_STRUCTS
from api.prediction_reference import describe_predictions
from api.problems import CONTENT_TYPE, STANDARD, Problem
from api.publishing import Published
from api.record_reference import STRUCTS as RECORD_STRUCTS
from api.record_reference import describe_records
from api.resources import RESOURCES
from api.schemas import (
    LINKS,
    REF,
    Document,
    data_schemas,
    filters_of,
    header,
    list_of,
    map_of,
    page_example,
    page_of,
    ref,
    schema_of,
    structure,
)
from api.system import Health
from api.workflow_reference import STRUCTS as WORKFLOW_STRUCTS
from api.workflow_reference import describe_workflows
from eventstore.envelope import Envelope
from eventstore.subjects import ID_PATTERN
from handlers.routes import Route
from projections.deployments import TimelineEntry
from projections.projection import AnyTable, Projection
from projections.queries import ProjectionStatus
from projections.read_models import READ_MODELS
from sagas.targets.port import LogLine

_JSON: Final = "application/json"
_CLOUD_EVENT: Final[dict[str, Any]] = {
    "type": "object",
    "required": ["specversion", "id", "source", "type"],
    "properties": {
        "specversion": {"const": "1.0"},
        **{name: {"type": "string", "minLength": 1} for name in ("id", "source", "type")},
        "data": {},
    },
    "additionalProperties": True,
}
_HEADERS: Final = {
    "X-Actor": "Who asks",
    "X-Correlation-Id": "The conversation the command belongs to; else it begins one",
    "X-Causation-Id": "What made the caller ask",
    "X-Tenant": "On whose behalf",
    "traceparent": "W3C trace context; a malformed one counts as none",
    "Idempotency-Key": "Stands for the body's `id`",
    "Prefer": "`wait=<seconds>`: answer when the read model shows the outcome",
}


def openapi_document(app: Litestar, routes: Mapping[str, Route]) -> Document:
    """OpenAPI 3.1, complete: every operation with its bodies, answers, errors and examples."""
    document: Document = app.openapi_schema.to_schema()
    public = {name: route for name, route in sorted(routes.items()) if not route.internal}
    schemas: Document = document.setdefault("components", {}).setdefault("schemas", {})
    schemas |= _schemas()
    for name, route in public.items():
        schemas |= {_schema_name(name): _command_schema(route), **data_schemas(name, route.struct, tagged=False)}
    paths: Document = document["paths"]
    _describe_resources(paths)
    describe_values(paths)
    _describe_the_rest(paths)
    describe_predictions(paths, public)
    describe_datasets(paths)
    describe_records(paths)
    describe_workflows(paths)
    _describe_commands(paths[f"{API}/commands"]["post"], public)
    for path, operations in paths.items():
        for operation in operations.values():
            _describe_errors(path, operation)
    return document


def _components() -> tuple[Mapping[type[Any], Document], Document]:
    """Every struct that an answer is made of: by reference, and by name. Where two have the same name, both are called
    by their modules', too."""
    rows = [table.row for model in READ_MODELS for table in model.tables]
    others = [Problem, CommandAnswer, Published, Health, ProjectionStatus, TimelineEntry, LogLine, Envelope]
    others += [*FEATURE_STRUCTS, *DATASET_STRUCTS, *PREDICTION_STRUCTS, *RECORD_STRUCTS, *WORKFLOW_STRUCTS]
    structs = list(dict.fromkeys([*rows, *others]))
    references, found = msgspec.json.schema_components(structs, ref_template=REF)
    return dict(zip(structs, references, strict=True)), found


def _schemas() -> Document:
    _, found = _components()
    actions = {
        "type": "object",
        "required": ["href", "method"],
        "properties": {
            "href": {"type": "string"},
            "method": {"const": "POST"},
            "type": {"type": "string", "description": "The command to post"},
            "body": {"type": "object", "description": "To start from"},
            "schema": {"type": "object", "description": "JSON Schema of the command's data"},
        },
    }
    event = {"allOf": [ref("Envelope"), structure({"position": {"type": "integer"}})]}
    return {**found, "Action": actions, "Event": event}


def _describe_resources(paths: Document) -> None:
    models = {model.name: model for model in READ_MODELS}
    references, _ = _components()
    for name in (*(each.name for each in RESOURCES), "commands"):
        model, path = models[name], f"{API}/{name}"
        row, example = references[_main(model).row], examples.ROWS[name]
        links = {"self": f"{path}/{example['id']}", "events": f"{path}/{example['id']}/events"}
        listed = {**example, "_links": {"self": links["self"]}}
        item = {"allOf": [row, structure({"_links": LINKS})]}
        _answer(paths, path, page_of(item), page_example(path, listed))
        paths[path]["get"]["parameters"] += filters_of(_main(model))
        if name != "commands":
            single = {"allOf": [row, structure({"_links": LINKS, "_actions": map_of("Action")})]}
            _answer(paths, f"{path}/{{id}}", single, {**example, "_links": links, "_actions": {}})
    for path in paths:
        if path.endswith("}/events"):
            _answer(paths, path, page_of(ref("Event")), page_example(path, examples.EVENT))
    describe_belongings(paths, references)


def _describe_the_rest(paths: Document) -> None:
    told, line = page_of(ref("TimelineEntry")), page_of(ref("LogLine"))
    deployment = f"{API}/deployments/{{id}}"
    _answer(paths, f"{deployment}/timeline", told, page_example(f"{deployment}/timeline", examples.TOLD))
    _answer(paths, f"{deployment}/logs", line, page_example(f"{deployment}/logs", examples.LINE))
    _also(paths, f"{deployment}/logs", "application/x-ndjson", ref("LogLine"), examples.LINE)
    _answer(paths, f"{API}/events", page_of(ref("Event")), page_example(f"{API}/events", examples.EVENT))
    _also(paths, f"{API}/events", "application/x-ndjson", ref("Event"), examples.EVENT)
    sent = f"id: 1\nevent: {examples.EVENT['type']}\ndata: {msgspec.json.encode(examples.EVENT).decode()}\n\n"
    _also(paths, f"{API}/events/stream", "text/event-stream", {"type": "string"}, sent)
    paths[f"{API}/events/stream"]["get"]["parameters"].append(header("Last-Event-ID", "Go on after this position"))
    _describe_inbound(paths)
    projection = {"allOf": [ref("ProjectionStatus"), structure({"_links": LINKS, "_actions": map_of("Action")})]}
    _answer(paths, f"{API}/projections", list_of(ref("ProjectionStatus")), [examples.STATUS])
    _answer(paths, f"{API}/projections/{{name}}", projection, {**examples.STATUS, "_links": {}, "_actions": {}})
    rebuild = {**examples.ANSWER, "stream": {"category": "projection", "id": "stacks"}}
    _answer(paths, f"{API}/projections/{{name}}/rebuild", ref("CommandAnswer"), rebuild, "post", "202")
    outcome = structure({"command": {"type": "string"}, "time": {"type": "string", "format": "date-time"}})
    recorded = {**examples.ANSWER, "command": "organization.register", "time": examples.EVENT["time"]}
    _answer(paths, f"{API}/commands/{{command_id}}", {"allOf": [ref("CommandAnswer"), outcome]}, recorded)
    for probe in ("/health", "/health/ready"):
        _answer(paths, probe, ref("Health"), examples.HEALTH)
        failing = {"schema": ref("Health"), "example": {**examples.HEALTH, "status": "failing"}}
        paths[probe]["get"]["responses"]["503"] = {"description": "It cannot", "content": {_JSON: failing}}
    for probe in ("/health/live", "/health/startup"):
        _answer(paths, probe, structure({"status": {"const": "ok"}}), {"status": "ok"})
    _also(paths, "/metrics", "text/plain", {"type": "string"}, "sagacity_log_position 63.0\n")


def _describe_inbound(paths: Document) -> None:
    event = structure({name: schema_of(value) for name, value in examples.INBOUND.items() if name in _INBOUND_ALWAYS})
    _answer(paths, f"{API}/inbound", page_of(event), page_example(f"{API}/inbound", examples.INBOUND))
    _answer(paths, f"{API}/inbound/{{id}}", event, examples.INBOUND)
    publish = paths[f"{API}/events"]["post"]
    one = {"schema": _CLOUD_EVENT, "example": examples.CLOUD_EVENT}
    publish["requestBody"] = {
        "required": True,
        "content": {
            "application/cloudevents+json": one,
            "application/cloudevents-batch+json": {
                "schema": list_of(_CLOUD_EVENT),
                "example": [examples.CLOUD_EVENT],
            },
        },
    }
    names = {"ce-specversion": "Binary mode: `1.0`, then the body is the data"}
    names |= {f"ce-{name}": "Binary mode" for name in ("id", "source", "type")}
    publish["parameters"] = [header(name, text) for name, text in names.items()]
    published = {"id": "1", "subject": "in.ci.build-finished"}
    _answer(paths, f"{API}/events", list_of(ref("Published")), [published], "post", "202")


_INBOUND_ALWAYS: Final = frozenset({"id", "status", "since", "position", "_links", "_actions"})


def _describe_commands(operation: Document, public: Mapping[str, Route]) -> None:
    operation["parameters"] = [header(name, text) for name, text in _HEADERS.items()]
    operation["requestBody"] = {
        "required": True,
        "content": {
            _JSON: {
                "schema": {
                    "oneOf": [ref(_schema_name(name)) for name in public],
                    "discriminator": {
                        "propertyName": "type",
                        "mapping": {name: f"#/components/schemas/{_schema_name(name)}" for name in public},
                    },
                },
                "examples": {name: {"value": {"type": name, "data": examples.COMMANDS[name]}} for name in public},
            }
        },
    }
    answer = {"schema": ref("CommandAnswer"), "example": examples.ANSWER}
    again = {"schema": ref("CommandAnswer"), "example": {**examples.ANSWER, "duplicate": True}}
    refused = {"schema": ref("Problem"), "example": examples.REFUSED}
    operation["responses"] |= {
        "201": {"description": "Accepted and durable", "content": {_JSON: answer}},
        "200": {"description": "Accepted before, under the same id", "content": {_JSON: again}},
        "409": {"description": "Refused, and recorded", "content": {CONTENT_TYPE: refused}},
    }


def _describe_errors(path: str, operation: Document) -> None:
    """Whatever goes wrong is a problem document."""
    answers: Document = operation.setdefault("responses", {})
    answers.pop("400", None)
    for status in _errors(path, operation):
        answers.setdefault(str(status), _error(path, status))
    answers["default"] = {**_error(path, 500), "description": "Anything else that went wrong (RFC 9457)"}
    for answer in answers.values():
        answer.setdefault("headers", {})["X-Position"] = {
            "description": "How far the log had come",
            "schema": {"type": "string", "pattern": "^[0-9]+$"},
        }


def _errors(path: str, operation: Document) -> Iterable[int]:
    names = {parameter["name"] for parameter in operation.get("parameters", ())}
    if "{" in path:
        yield 404
    if names & {"limit", "after", "as_of", "min_position"}:
        yield 422
    if "min_position" in names:
        yield 504
    if "requestBody" in operation:
        yield from (400, 413, 415)
    if path == f"{API}/commands" and "requestBody" in operation:
        yield 422
    if path.startswith(API):
        yield from (406, 503)


def _error(path: str, status: int) -> Document:
    name, title = STANDARD[status]
    example = {"type": f"/problems/{name}", "title": title, "status": status, "instance": path}
    content = {CONTENT_TYPE: {"schema": ref("Problem"), "example": example}}
    return {"description": title, "content": content}


def _answer(
    paths: Document, path: str, schema: Document, example: Any, method: str = "get", status: str = "200"
) -> None:
    found: Document = paths[path][method]["responses"].setdefault(status, {"description": "Done"})
    found["content"] = {_JSON: {"schema": schema, "example": example}}


def _also(paths: Document, path: str, kind: str, schema: Document, example: Any) -> None:
    paths[path]["get"]["responses"]["200"]["content"][kind] = {"schema": schema, "example": example}


def _main(model: Projection) -> AnyTable:
    return model.tables[0]


def _command_schema(route: Route) -> Document:
    return {
        "type": "object",
        "title": route.type,
        "required": ["type"],
        "additionalProperties": False,
        "properties": {
            "type": {"const": route.type},
            "id": {"type": "string", "pattern": ID_PATTERN},
            "stream": {
                "oneOf": [
                    {"type": "string", "pattern": ID_PATTERN},
                    {
                        "type": "object",
                        "additionalProperties": False,
                        "properties": {
                            "category": {"const": route.decider.category},
                            "id": {"type": "string", "pattern": ID_PATTERN},
                        },
                    },
                ]
            },
            "expected_version": {"type": "integer", "minimum": 0},
            "data": ref(route.type),
        },
    }


def _schema_name(type: str) -> str:
    return f"command.{type}"
