"""Which decider answers for which command: one table, built from the deciders themselves."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from functools import cached_property
from typing import Any

import jsonschema
import msgspec

from domain.decider import Decider
from eventstore.catalogue import members, tag_of
from handlers.command import Fault, InvalidCommand
from handlers.schema_faults import faults_of


class Route:
    """One command type: its struct, its decider and its published JSON schema."""

    def __init__(self, decider: Decider[Any, Any, Any], struct: type[msgspec.Struct]) -> None:
        self.type = tag_of(struct)
        self.decider = decider
        self.struct = struct
        self.internal = struct in decider.internal
        self._decoder = msgspec.json.Decoder(struct)

    def decode(self, data: bytes) -> Any:
        """The command. Raises InvalidCommand with every fault of `data`."""
        try:
            return self._decoder.decode(data)
        except msgspec.DecodeError as error:
            raise InvalidCommand(self._faults(data) or [Fault("/data", str(error))]) from error
        except UnicodeDecodeError as error:
            raise InvalidCommand([Fault("/data", "is not valid UTF-8")]) from error

    @cached_property
    def schema(self) -> dict[str, Any]:
        """JSON Schema (2020-12) of `data`, self-contained, without the type tag."""
        (_,), components = msgspec.json.schema_components([self.struct], ref_template="#/$defs/{name}")
        body: dict[str, Any] = dict(components.pop(self.struct.__name__))
        body["properties"] = {name: part for name, part in body["properties"].items() if name != "type"}
        body["required"] = [name for name in body.get("required", []) if name != "type"]
        return {**body, "title": self.type, **({"$defs": components} if components else {})}

    @cached_property
    def _validator(self) -> jsonschema.Draft202012Validator:
        return jsonschema.Draft202012Validator(self.schema)

    def _faults(self, data: bytes) -> list[Fault]:
        """The slow path, only for refused data: msgspec stops at the first fault, users want all of them."""
        try:
            document = msgspec.json.decode(data)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            return [Fault("/data", str(error))]
        errors: Iterator[Any] = self._validator.iter_errors(document)  # pyright: ignore[reportUnknownMemberType]
        found = [fault for error in errors for fault in faults_of(error)]
        return sorted(found, key=lambda fault: fault.where)


def routes_of(deciders: Iterable[Decider[Any, Any, Any]]) -> Mapping[str, Route]:
    """The table: command type → route. Raises ValueError when two deciders claim one command."""
    table: dict[str, Route] = {}
    for decider in deciders:
        for struct in members(decider.commands):
            route = Route(decider, struct)
            if table.setdefault(route.type, route) is not route:
                raise ValueError(f"two deciders answer for {route.type}")
    return table
