"""Whether a document is what a JSON schema says; each schema is compiled once."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from typing import Any, Final

import jsonschema
from referencing.jsonschema import EMPTY_REGISTRY

_REMEMBERED: Final = 1_000
_NAMED: Final = 10
_LONGEST: Final = 300
"""Faults, and characters of one, that are told."""


class Checks:
    """A schema is known by being the very same object: specifications are never changed."""

    def __init__(self) -> None:
        self._validators: OrderedDict[int, tuple[dict[str, Any], jsonschema.Draft202012Validator]] = OrderedDict()

    def faults(self, schema: dict[str, Any], document: Any) -> list[str]:
        """The first of them, each with where it is. A schema that is none itself is a fault."""
        if not schema:
            return []
        try:
            errors: Iterator[Any] = self._validator(schema).iter_errors(document)  # pyright: ignore[reportUnknownMemberType]
            return [_told(error) for error, _ in zip(errors, range(_NAMED), strict=False)]
        except Exception as error:
            # Whatever a library makes of a schema that is none: it is the skill's fault, not this process's.
            return [f"the schema cannot be applied: {error}"[:_LONGEST]]

    def _validator(self, schema: dict[str, Any]) -> jsonschema.Draft202012Validator:
        known = self._validators.get(id(schema))
        if known is not None and known[0] is schema:
            return known[1]
        # With a registry of its own nothing is fetched, whatever a schema refers to.
        validator = jsonschema.Draft202012Validator(schema, registry=EMPTY_REGISTRY)
        self._validators[id(schema)] = schema, validator
        if len(self._validators) > _REMEMBERED:
            self._validators.popitem(last=False)
        return validator


def _told(error: Any) -> str:
    where = "".join(f"/{part}" for part in error.absolute_path) or "/"
    return f"{where}: {error.message}"[:_LONGEST]
