"""Inputs of runs that are too large for an event stand in the object store, before anything is decided: neither the run
nor the record of its command has them inline."""

from __future__ import annotations

from typing import Any

import msgspec

from domain import workflow
from domain.workflow import LARGEST_INLINE, Value
from eventstore.blobs import Blobs


async def set_aside(command: Any, data: bytes, blobs: Blobs) -> tuple[Value | None, bytes]:
    """The input by reference, if it is large, and `data` as the command's record is to have them: with `input_stored`
    in place of `input`. It is stored once, however often it is given. Raises LogUnavailable."""
    if not isinstance(command, workflow.Start | workflow.Invoke) or len(data) <= LARGEST_INLINE:
        return None, data
    document = msgspec.json.encode(command.input)
    if len(document) <= LARGEST_INLINE:
        return None, data
    value = Value(hash=await blobs.put(document), size=len(document))
    fields = msgspec.json.decode(data, type=dict[str, msgspec.Raw])
    fields.pop("input")
    return value, msgspec.json.encode({**fields, "input_stored": value})
