"""The event catalogue as an AsyncAPI 3.0 document, generated from the types that the program runs on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from eventstore.catalogue import Catalogue
from eventstore.envelope import Envelope
from handlers.routes import Route


def asyncapi_document(catalogue: Catalogue, routes: Mapping[str, Route]) -> dict[str, Any]:
    """Every event in its envelope, every command as request and reply, and events from outside."""
    types = dict(sorted(catalogue.types().items()))
    messages = {tag: _event(tag, struct) for tag, struct in types.items()}
    commands = {name: route for name, route in sorted(routes.items()) if not route.internal}
    messages |= {name: _command(route) for name, route in commands.items()}
    categories = sorted({tag.partition(".")[0] for tag in types})
    return {
        "asyncapi": "3.0.0",
        "info": {"title": "Sagacity", "version": "1", "description": "Events of the log, and commands by request."},
        "defaultContentType": "application/cloudevents+json",
        "channels": {
            **{category: _event_channel(category, types) for category in categories},
            **{f"cmd-{name}": _command_channel(name) for name in commands},
            "inbound": {
                "address": "in.{source}.{type}",
                "description": "CloudEvents 1.0 of other systems: stored first, then handled.",
                "parameters": {"source": {}, "type": {}},
            },
        },
        "operations": {
            **{
                f"receive-{category}": {"action": "send", "channel": {"$ref": f"#/channels/{category}"}}
                for category in categories
            },
            **{
                f"request-{name}": {"action": "receive", "channel": {"$ref": f"#/channels/cmd-{name}"}}
                for name in commands
            },
            "publish-inbound": {"action": "receive", "channel": {"$ref": "#/channels/inbound"}},
        },
        "components": {"messages": messages, "schemas": {"Envelope": _schema(Envelope)}},
    }


def _event(tag: str, struct: type[msgspec.Struct]) -> dict[str, Any]:
    return {
        "name": tag,
        "title": tag,
        "summary": _first_line(struct),
        "payload": {
            "allOf": [
                {"$ref": "#/components/schemas/Envelope"},
                {"type": "object", "properties": {"type": {"const": tag}, "data": _schema(struct)}},
            ]
        },
    }


def _command(route: Route) -> dict[str, Any]:
    return {
        "name": route.type,
        "title": route.type,
        "contentType": "application/json",
        "summary": _first_line(route.struct),
        "payload": {"type": "object", "properties": {"data": route.schema}},
    }


def _event_channel(category: str, types: Mapping[str, Any]) -> dict[str, Any]:
    tags = [tag for tag in types if tag.partition(".")[0] == category]
    return {
        "address": f"evt.{category}.{{id}}.{{version}}",
        "parameters": {"id": {"description": "of the aggregate"}, "version": {"description": "from 1, without gaps"}},
        "messages": {tag: {"$ref": f"#/components/messages/{tag}"} for tag in tags},
    }


def _command_channel(name: str) -> dict[str, Any]:
    return {"address": f"cmd.{name}", "messages": {name: {"$ref": f"#/components/messages/{name}"}}}


def _schema(struct: type[msgspec.Struct]) -> dict[str, Any]:
    """Self-contained: whatever it refers to is defined within."""
    (_,), components = msgspec.json.schema_components([struct], ref_template="#/$defs/{name}")
    body: dict[str, Any] = dict(components.pop(struct.__name__))
    return {**body, **({"$defs": components} if components else {})}


def _first_line(struct: type[msgspec.Struct]) -> str:
    text = struct.__doc__ or ""
    return "" if text.startswith(f"{struct.__name__}(") else " ".join(text.split())
