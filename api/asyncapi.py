"""The event catalogue as an AsyncAPI 3.0 document, generated from the types that the program runs on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from api import examples
from api.commands import CommandAnswer
from api.problems import Problem
from api.schemas import REF, Document, data_schemas, ref
from eventstore.catalogue import Catalogue
from eventstore.envelope import Envelope
from eventstore.subjects import ID_PATTERN
from handlers.inbound import CloudEvent
from handlers.routes import Route

_ID: Final = {"description": f"One token: {ID_PATTERN}"}
_HEADERS: Final = ("X-Actor", "X-Correlation-Id", "X-Causation-Id", "X-Tenant", "traceparent", "Idempotency-Key")


def asyncapi_document(catalogue: Catalogue, routes: Mapping[str, Route]) -> Document:
    """Every event in its envelope, every command as request and reply, and events from outside."""
    types = dict(sorted(catalogue.types().items()))
    commands = {name: route for name, route in sorted(routes.items()) if not route.internal}
    categories = sorted({tag.partition(".")[0] for tag in types})
    _, shared = msgspec.json.schema_components([Envelope, CommandAnswer, Problem], ref_template=REF)
    cloud_event = CloudEvent.model_json_schema(ref_template="#/components/schemas/{model}")
    schemas = {**shared, **cloud_event.pop("$defs", {}), "CloudEvent": cloud_event, "Reply": _REPLY}
    for tag, struct in types.items():
        schemas |= data_schemas(tag, struct)
    for name, route in commands.items():
        schemas |= data_schemas(name, route.struct, tagged=False)
    return {
        "asyncapi": "3.0.0",
        "info": {"title": "Sagacity", "version": "1", "description": "Events of the log, and commands by request."},
        "defaultContentType": "application/cloudevents+json",
        "channels": {
            **{category: _event_channel(category, types) for category in categories},
            **{f"cmd-{name}": _command_channel(name) for name in commands},
            "replies": {"address": None, "messages": {"reply": _message("reply")}},
            "from-outside": _FROM_OUTSIDE,
        },
        "operations": {
            **{f"send-{category}": _sends(category, types) for category in categories},
            **{f"answer-{name}": _answers(name) for name in commands},
            "receive-from-outside": {
                "action": "receive",
                "channel": {"$ref": "#/channels/from-outside"},
                "summary": "Stored first, then handled: a type that is a command is executed, any other recorded",
            },
        },
        "components": {
            "messages": {
                **{tag: _event(tag, struct, catalogue.schema_version(tag)) for tag, struct in types.items()},
                **{name: _command(route) for name, route in commands.items()},
                "reply": {
                    "name": "reply",
                    "contentType": "application/json",
                    "payload": ref("Reply"),
                    "examples": [{"payload": {**examples.ANSWER, "status": 201}}],
                },
                "cloudevent": {
                    "name": "cloudevent",
                    "payload": ref("CloudEvent"),
                    "examples": [{"payload": examples.CLOUD_EVENT}],
                },
            },
            "schemas": dict(sorted(schemas.items())),
        },
    }


_REPLY: Final[Document] = {
    "description": "What POST /commands answers, with its status",
    "allOf": [
        {"type": "object", "required": ["status"], "properties": {"status": {"type": "integer"}}},
        {"anyOf": [ref("CommandAnswer"), ref("Problem")]},
    ],
}
_FROM_OUTSIDE: Final[Document] = {
    "address": "in.{source}.{type}",
    "description": "CloudEvents 1.0 of other systems. The subject is for the publisher; the document itself counts.",
    "parameters": {"source": {"description": "Who publishes"}, "type": {"description": "The event's type"}},
    "messages": {"cloudevent": {"$ref": "#/components/messages/cloudevent"}},
}


def _event(tag: str, struct: type[msgspec.Struct], schema_version: int) -> Document:
    own = {"type": {"const": tag}, "schemaversion": {"const": schema_version}, "data": ref(tag)}
    return {
        "name": tag,
        "title": tag,
        "summary": _first_words(struct),
        "payload": {"allOf": [ref("Envelope"), {"type": "object", "properties": own}]},
    }


def _command(route: Route) -> Document:
    body = {
        "type": {"const": route.type},
        "id": {"type": "string", "pattern": ID_PATTERN},
        "stream": {"type": "object", "properties": {"category": {"type": "string"}, "id": {"type": "string"}}},
        "expected_version": {"type": "integer", "minimum": 0},
        "data": ref(route.type),
    }
    headers = {name: {"type": "string"} for name in _HEADERS}
    return {
        "name": route.type,
        "title": route.type,
        "contentType": "application/json",
        "summary": _first_words(route.struct),
        "headers": {"type": "object", "properties": headers},
        "payload": {"type": "object", "additionalProperties": False, "properties": body},
        "examples": [{"payload": {"data": examples.COMMANDS[route.type]}}],
    }


def _event_channel(category: str, types: Mapping[str, Any]) -> Document:
    return {
        "address": f"evt.{category}.{{id}}.{{version}}",
        "description": "JetStream stream EVENTS: read it with a consumer of your own, from any position.",
        "parameters": {"id": _ID, "version": {"description": "Of the stream, from 1, without gaps"}},
        "messages": {tag: _message(tag) for tag in _tags(category, types)},
    }


def _command_channel(name: str) -> Document:
    return {"address": f"cmd.{name}", "messages": {name: _message(name)}}


def _sends(category: str, types: Mapping[str, Any]) -> Document:
    messages = [{"$ref": f"#/channels/{category}/messages/{tag}"} for tag in _tags(category, types)]
    return {"action": "send", "channel": {"$ref": f"#/channels/{category}"}, "messages": messages}


def _answers(name: str) -> Document:
    return {
        "action": "receive",
        "channel": {"$ref": f"#/channels/cmd-{name}"},
        "messages": [{"$ref": f"#/channels/cmd-{name}/messages/{name}"}],
        "reply": {
            "address": {"location": "$message.header#/reply", "description": "The inbox of the NATS request"},
            "channel": {"$ref": "#/channels/replies"},
            "messages": [{"$ref": "#/channels/replies/messages/reply"}],
        },
    }


def _tags(category: str, types: Mapping[str, Any]) -> list[str]:
    return [tag for tag in types if tag.partition(".")[0] == category]


def _message(name: str) -> Document:
    return {"$ref": f"#/components/messages/{name}"}


def _first_words(struct: type[msgspec.Struct]) -> str:
    text = struct.__doc__ or ""
    return "" if text.startswith(f"{struct.__name__}(") else " ".join(text.split())
