"""Large values of runs stand in the object store, by their hash; those that were used lately are at hand here."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from typing import Any, Final

import msgspec

from domain.workflow import (
    LARGEST_INLINE,
    Completed,
    Event,
    Requested,
    Revised,
    StepCompleted,
    StepStarted,
    Succeeded,
    Value,
)
from domain.workflow_course import NotAtHand
from eventstore.blobs import BlobMissing, Blobs, BlobTooLarge
from eventstore.errors import WriteTooLarge

ROOM: Final = 128 * 1024 * 1024
"""Bytes of JSON of the values that are kept at hand."""

_HOLDS: Final[dict[type[Any], str]] = {
    StepStarted: "items",
    Requested: "input",
    Succeeded: "output",
    StepCompleted: "output",
    Revised: "remarks",
    Completed: "output",
}
"""Events with a value that was made in the run, and its field."""

_encoder = msgspec.json.Encoder()


class ValueLost(Exception):
    """A value that a run goes on with is not in the object store (any more)."""


class Values:
    """One a process."""

    def __init__(self, blobs: Blobs, room: int = ROOM) -> None:
        self._blobs = blobs
        self._room = room
        self._used = 0
        self._known: OrderedDict[str, tuple[Any, int]] = OrderedDict()

    def at_hand(self, value: Value) -> Any:
        """The JSON. Raises NotAtHand for what is to be fetched first."""
        if not value.hash:
            return value.inline
        known = self._known.get(value.hash)
        if known is None:
            raise NotAtHand(value)
        self._known.move_to_end(value.hash)
        return known[0]

    async def fetch(self, value: Value) -> None:
        """Raises ValueLost, LogUnavailable."""
        try:
            document = await self._blobs.get(value.hash)
            self._keep(value.hash, msgspec.json.decode(document), len(document))
        except (BlobMissing, msgspec.DecodeError) as error:
            raise ValueLost(f"the value {value.hash} of {value.size} bytes is lost: {error}") from error

    async def get(self, value: Value) -> Any:
        """Raises ValueLost, LogUnavailable."""
        try:
            return self.at_hand(value)
        except NotAtHand:
            await self.fetch(value)
            return self.at_hand(value)

    async def stored(self, events: Sequence[Event]) -> Sequence[Event]:
        """The very same, or with references in place of what is too large for an event. Raises LogUnavailable,
        WriteTooLarge."""
        if not any(_is_large(value) for event in events if (value := _held(event)) is not None):
            return events
        return [await self._by_reference(event) for event in events]

    async def outside(self, value: Value) -> Value:
        """The same by its hash, if it is large. Raises LogUnavailable, WriteTooLarge."""
        if not _is_large(value):
            return value
        document = _encoder.encode(value.inline)
        try:
            hash = await self._blobs.put(document)
        except BlobTooLarge as error:
            raise WriteTooLarge(f"a value has {error}") from error
        self._keep(hash, value.inline, len(document))
        return Value(hash=hash, size=len(document))

    async def _by_reference(self, event: Event) -> Event:
        value = _held(event)
        if value is None or not _is_large(value):
            return event
        return msgspec.structs.replace(event, **{_HOLDS[type(event)]: await self.outside(value)})

    def _keep(self, hash: str, content: Any, size: int) -> None:
        """One that alone is larger than the room is kept until the next one comes."""
        if hash in self._known:
            return
        self._known[hash] = content, size
        self._used += size
        while self._used > self._room and len(self._known) > 1:
            _, (_, gone) = self._known.popitem(last=False)
            self._used -= gone


def _held(event: Event) -> Value | None:
    name = _HOLDS.get(type(event))
    return getattr(event, name) if name is not None else None


def _is_large(value: Value) -> bool:
    match value.inline:
        case None | bool() | int() | float():
            return False
        case str() as text if len(text) < LARGEST_INLINE // 12:  # every character may come to be \uXXXX\uXXXX
            return False
        case inline:
            return len(_encoder.encode(inline)) > LARGEST_INLINE
