"""Validators of JSON schemas, each compiled once."""

from __future__ import annotations

from collections import OrderedDict
from typing import Any

import jsonschema
from referencing.jsonschema import EMPTY_REGISTRY


class Validators:
    """The last `most` that were used first. A schema is known by being the very same object: what is published or
    registered is never changed."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._known: OrderedDict[int, tuple[dict[str, Any], jsonschema.Draft202012Validator]] = OrderedDict()

    def of(self, schema: dict[str, Any]) -> jsonschema.Draft202012Validator:
        """With a registry of its own nothing is fetched, whatever a schema refers to."""
        known = self._known.get(id(schema))
        if known is None or known[0] is not schema:
            validator = jsonschema.Draft202012Validator(schema, registry=EMPTY_REGISTRY)
            known = self._known[id(schema)] = schema, validator
            if len(self._known) > self._most:
                self._known.popitem(last=False)
        return known[1]
