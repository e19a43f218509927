"""All commands with their fields, from the types that the program runs on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import click
import msgspec

from sagacity.cli.output import print_json


def print_commands(as_json: bool) -> None:
    """Those that people may give; sagas and deciders have some of their own."""
    from domain.contexts import DECIDERS
    from handlers.routes import routes_of

    routes = {name: route for name, route in sorted(routes_of(DECIDERS).items()) if not route.internal}
    if as_json:
        print_json({name: route.schema for name, route in routes.items()})
        return
    nested: dict[str, Mapping[str, Any]] = {}
    for name, route in routes.items():
        click.echo(f"{name}  {meaning(route.struct)}".rstrip())
        _print_fields(route.schema)
        nested |= route.schema.get("$defs", {})
    click.echo("\nwhere")
    for name, schema in sorted(nested.items()):
        click.echo(name)
        _print_fields(schema)


def _print_fields(schema: Mapping[str, Any]) -> None:
    for field, kind in schema["properties"].items():
        note = "" if field in schema.get("required", ()) else f" (default: {_default(kind)})"
        click.echo(f"    {field}: {kind_of(kind)}{note}")


def kind_of(schema: Mapping[str, Any]) -> str:
    """A JSON schema in a few words."""
    match schema:
        case {"$ref": ref}:
            return str(ref).rpartition("/")[2]
        case {"anyOf": choices}:
            return " | ".join(kind_of(each) for each in choices)
        case {"enum": values}:
            return " | ".join(str(each) for each in values)
        case {"const": value}:
            return str(value)
        case {"type": "array", "items": items} if items:
            return f"list of {kind_of(items)}"
        case {"type": "array"}:
            return "list"
        case {"type": "object", "additionalProperties": values} if isinstance(values, dict):
            return f"map of {kind_of(values)}"  # pyright: ignore[reportUnknownArgumentType]
        case {"type": kind}:
            return str(kind)
        case _:
            return "any"


def _default(schema: Mapping[str, Any]) -> str:
    match schema.get("default"):
        case None | "" | () | [] as empty if not empty:
            return "none"
        case dict() as own:  # pyright: ignore[reportUnknownVariableType]
            return "its own" if own else "none"
        case default:
            return str(default)


def meaning(struct: type[msgspec.Struct]) -> str:
    """Its docstring in one line; empty when it has none of its own."""
    text = " ".join((struct.__doc__ or "").split())
    return "" if text.startswith(f"{struct.__name__}(") else text
