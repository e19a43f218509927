"""The API reference: what Litestar knows of the routes, with commands, errors and examples filled in from the types.

Bodies that are read as bytes for speed would otherwise be missing from it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, cast

import msgspec
from litestar import Litestar

from api.commands import CommandAnswer
from api.problems import CONTENT_TYPE, Problem
from handlers.routes import Route

_COMMANDS: Final = "/api/v1/commands"
_EVENTS: Final = "/api/v1/events"

EXAMPLES: Final[Mapping[str, dict[str, Any]]] = {
    "organization.register": {"name": "Acme"},
    "organization.describe": {"description": "makes everything"},
    "environment.register": {"name": "Production", "organization_id": "acme", "targets": [{"name": "local"}]},
    "environment.configure": {"configuration": {"TZ": "UTC"}},
    "environment.add_target": {"target": {"name": "second"}},
    "environment.remove_target": {"name": "second"},
    "stack.register": {"name": "Shop", "organization_id": "acme"},
    "stack.configure": {"configuration": {"LOG": "info"}},
    "stack.publish_version": {"version": "1.0", "release": {"program": "python3", "arguments": ["shop.py"]}},
    "stack.withdraw_version": {"version": "1.0", "reason": "leaks memory"},
    "deployment.request": {"stack_id": "shop", "environment_id": "production", "version": "1.0"},
    "deployment.cancel": {"reason": "changed my mind"},
    "saga.resume": {},
    "saga.waive_effect": {"key": "shop-1-start", "reason": "stopped by hand"},
    "projection.rebuild": {},
    "inbound.retry": {},
}

_CLOUD_EVENT: Final[dict[str, Any]] = {
    "type": "object",
    "required": ["specversion", "id", "source", "type"],
    "properties": {
        "specversion": {"const": "1.0"},
        "id": {"type": "string"},
        "source": {"type": "string"},
        "type": {"type": "string"},
        "data": {},
    },
    "additionalProperties": True,
}
_CLOUD_EVENT_EXAMPLE: Final[dict[str, Any]] = {
    "specversion": "1.0",
    "id": "1",
    "source": "/ci",
    "type": "build.finished",
    "data": {},
}


def openapi_document(app: Litestar, routes: Mapping[str, Route]) -> dict[str, Any]:
    """OpenAPI 3.1, complete: every operation with its bodies, answers, errors and examples."""
    document: dict[str, Any] = app.openapi_schema.to_schema()
    schemas: dict[str, Any] = document.setdefault("components", {}).setdefault("schemas", {})
    public = {name: route for name, route in sorted(routes.items()) if not route.internal}
    (_, _), shared = msgspec.json.schema_components(
        [Problem, CommandAnswer], ref_template="#/components/schemas/{name}"
    )
    schemas |= shared
    schemas |= {_schema_name(name): _command_schema(route) for name, route in public.items()}
    for path, operations in document["paths"].items():
        for operation in operations.values():
            _describe_errors(path, operation)
    _describe_commands(document["paths"][_COMMANDS]["post"], public)
    _describe_inbound(document["paths"][_EVENTS]["post"])
    return document


def _describe_errors(path: str, operation: dict[str, Any]) -> None:
    """Whatever goes wrong is a problem document."""
    answers: dict[str, Any] = operation.setdefault("responses", {})
    answers.pop("400", None)
    example = {"type": "/problems/not-found", "title": "There is no such resource", "status": 404, "instance": path}
    answers["default"] = {
        "description": "What went wrong, with every fault at once (RFC 9457)",
        "content": {CONTENT_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}, "example": example}},
    }
    for answer in answers.values():
        answer.setdefault("headers", {})["X-Position"] = {
            "description": "How far the log had come",
            "schema": {"type": "string"},
        }


def _describe_commands(operation: dict[str, Any], public: Mapping[str, Route]) -> None:
    examples = {name: {"value": {"type": name, "data": EXAMPLES[name]}} for name in public}
    operation["requestBody"] = {
        "required": True,
        "content": {
            "application/json": {
                "schema": {
                    "oneOf": [{"$ref": f"#/components/schemas/{_schema_name(name)}"} for name in public],
                    "discriminator": {
                        "propertyName": "type",
                        "mapping": {name: f"#/components/schemas/{_schema_name(name)}" for name in public},
                    },
                },
                "examples": examples,
            }
        },
    }
    answer = {"schema": {"$ref": "#/components/schemas/CommandAnswer"}, "example": _ANSWER}
    for status, description in (("201", "Accepted and durable"), ("200", "Accepted before, under the same id")):
        operation["responses"][status] = {"description": description, "content": {"application/json": answer}}
    refused = {
        "type": "/problems/version-not-found",
        "title": "Refused",
        "status": 409,
        "detail": "version 9.9 of stack shop is unknown",
        "instance": _COMMANDS,
        "command_id": "c-2",
        "position": 3,
    }
    problem = {"schema": {"$ref": "#/components/schemas/Problem"}, "example": refused}
    operation["responses"]["409"] = {"description": "Refused, and recorded", "content": {CONTENT_TYPE: problem}}


def _describe_inbound(operation: dict[str, Any]) -> None:
    operation["requestBody"] = {
        "required": True,
        "content": {
            "application/cloudevents+json": {"schema": _CLOUD_EVENT, "example": _CLOUD_EVENT_EXAMPLE},
            "application/cloudevents-batch+json": {
                "schema": {"type": "array", "items": _CLOUD_EVENT},
                "example": [_CLOUD_EVENT_EXAMPLE],
            },
        },
    }


def _command_schema(route: Route) -> dict[str, Any]:
    return {
        "type": "object",
        "title": route.type,
        "required": ["type"],
        "additionalProperties": False,
        "properties": {
            "type": {"const": route.type},
            "id": {"type": "string", "pattern": "^[A-Za-z0-9][A-Za-z0-9_-]{0,127}$"},
            "stream": {
                "type": "object",
                "properties": {"category": {"const": route.decider.category}, "id": {"type": "string"}},
            },
            "expected_version": {"type": "integer", "minimum": 0},
            "data": _rooted(route.schema, f"#/components/schemas/{_schema_name(route.type)}/properties/data"),
        },
    }


def _rooted(schema: Any, root: str) -> Any:
    """References within a schema, seen from the document it has become a part of."""
    if isinstance(schema, list):
        return [_rooted(each, root) for each in cast("list[Any]", schema)]
    if not isinstance(schema, dict):
        return schema
    parts = cast("dict[str, Any]", schema)
    return {
        key: str(value).replace("#/", f"{root}/", 1) if key == "$ref" else _rooted(value, root)
        for key, value in parts.items()
    }


def _schema_name(type: str) -> str:
    return f"command.{type}"


_ANSWER: Final = {
    "command_id": "c-1",
    "outcome": "accepted",
    "stream": {"category": "organization", "id": "acme"},
    "version": 1,
    "position": 2,
    "events": [{"type": "organization.registered", "stream": "organization/acme", "version": 1, "position": 1}],
    "_links": {"self": "/api/v1/commands/c-1", "resource": "/api/v1/organizations/acme"},
}
