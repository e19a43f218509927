"""Which event types this program can read, at which schema version, and how old ones are brought up to date.

There is one decode path, used by loads, projections, sagas, replay and export alike. Old events stay as they were
written; an upcaster lifts their data, one schema version at a time, when they are read.
"""

from __future__ import annotations

import typing
from collections.abc import Callable, Iterable, Mapping
from types import UnionType
from typing import Any

import msgspec

from eventstore.envelope import Envelope
from eventstore.errors import UnknownEvent

Upcaster = Callable[[dict[str, Any]], dict[str, Any]]
"""Data of schema version n in, data of version n+1 out."""


class Catalogue:
    """Built once from the unions of events of all contexts; upcasters by (type, schema version they start from).

    A type's current schema version is one more than the highest version one of its upcasters starts from.
    Raises ValueError when two types share a tag or a chain of upcasters has a gap.
    """

    def __init__(
        self,
        unions: Iterable[UnionType | type[msgspec.Struct]],
        upcasters: Mapping[tuple[str, int], Upcaster] | None = None,
    ) -> None:
        self._upcasters = dict(upcasters or {})
        self._types: dict[str, type[msgspec.Struct]] = {}
        for struct in (member for union in unions for member in members(union)):
            tag = tag_of(struct)
            if self._types.setdefault(tag, struct) is not struct:
                raise ValueError(f"two event types are called {tag}")
        self._versions = {tag: self._current_version(tag) for tag in self._types}
        self._decoders = {tag: msgspec.json.Decoder(struct) for tag, struct in self._types.items()}

    def _current_version(self, tag: str) -> int:
        starts = sorted(version for known, version in self._upcasters if known == tag)
        if starts != list(range(1, len(starts) + 1)):
            raise ValueError(f"the upcasters of {tag} start from {starts}: there is a gap")
        return len(starts) + 1

    def types(self) -> Mapping[str, type[msgspec.Struct]]:
        return self._types

    def schema_version(self, tag: str) -> int:
        """The version in which events of this type are written today."""
        return self._versions[tag]

    def knows(self, tag: str) -> bool:
        return tag in self._types

    def decode(self, envelope: Envelope) -> Any:
        """The event in today's form. Raises UnknownEvent for unknown types, newer schemas and unreadable data."""
        current = self._versions.get(envelope.type)
        if current is None:
            raise UnknownEvent(f"event type {envelope.type} is unknown")
        if envelope.schemaversion > current:
            raise UnknownEvent(
                f"{envelope.type} was written in schema version {envelope.schemaversion}; "
                f"this program reads up to {current}"
            )
        try:
            if envelope.schemaversion == current:
                return self._decoders[envelope.type].decode(envelope.data)
            return msgspec.convert(self._upcast(envelope, current), self._types[envelope.type])
        except (msgspec.MsgspecError, LookupError, TypeError, ValueError) as error:
            raise UnknownEvent(f"{envelope.type} {envelope.id}: {error}") from error

    def _upcast(self, envelope: Envelope, current: int) -> dict[str, Any]:
        data = msgspec.json.decode(envelope.data, type=dict[str, Any])
        for version in range(envelope.schemaversion, current):
            data = self._upcasters[envelope.type, version](data)
        return data


def members(union: UnionType | type[msgspec.Struct]) -> tuple[type[msgspec.Struct], ...]:
    """The struct types of a union (or of a single type)."""
    return typing.get_args(union) or (typing.cast("type[msgspec.Struct]", union),)


def tag_of(struct: type[msgspec.Struct] | msgspec.Struct) -> str:
    """The stable name under which a command or event is stored and sent."""
    tag = struct.__struct_config__.tag
    if not isinstance(tag, str):
        raise ValueError(f"{struct} has no tag")
    return tag
