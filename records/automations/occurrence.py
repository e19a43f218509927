"""Something that occurred, whatever it was: a file, a row, a moment, an event."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final, NamedTuple

import msgspec

from domain.expressions import Expression, Path, parsed_text, value, walked

_PLACE: Final = re.compile(r"\{([A-Za-z_][A-Za-z0-9_]*)\}")


class Facts(NamedTuple):
    """What expressions are about: `domain.expressions.Scope`."""

    known: Mapping[str, Any]

    def at(self, path: Path) -> Any:
        return walked(self.known, path)


class Cause(NamedTuple):
    """The event that something occurred by. `correlation` is that of what is done about it."""

    id: str
    conversation: str
    correlation: str
    tenant: str | None = None
    traceparent: str | None = None


@dataclass(frozen=True)
class Occurrence:
    """`id` is the same whenever the same thing is seen. `values` stand in texts for what occurred; `fields` are those
    of a row or of an event's data, `content` the bytes of a file called `name`, and `unfit` says why they are not here.
    `facts` of an event, else `values` and `row`, are what expressions are about. `barred`: why nothing is to be done.
    `cursor` is where the next look begins."""

    id: str
    what: str
    time: datetime
    values: Mapping[str, str]
    fields: Mapping[str, Any] = field(default_factory=dict[str, Any])
    name: str = ""
    content: bytes | None = None
    unfit: str = ""
    barred: str = ""
    cursor: str | None = None
    facts: Mapping[str, Any] = field(default_factory=dict[str, Any])
    cause: Cause | None = None

    @property
    def scope(self) -> Facts:
        return Facts(self.facts or {**self.values, **({"row": self.fields} if self.fields else {})})


@dataclass(frozen=True)
class Repeated:
    """What occurred came of what the rule itself had done, by way of others: it is left alone."""


class Looked(NamedTuple):
    """Nothing is left to be dealt with up to `cursor`; `all`: nor after it for now, and nothing keeps the rule from
    being carried out."""

    cursor: str | None = None
    all: bool = True


def occurrence_id(*parts: str | bytes) -> str:
    digest = hashlib.sha256()
    for part in parts:
        data = part if isinstance(part, bytes) else part.encode(errors="surrogateescape")
        digest.update(len(data).to_bytes(8, "big") + data)
    return digest.hexdigest()[:32]


def filled(text: str, values: Mapping[str, str]) -> str:
    """`{name}` becomes the value of that name; what has none stays as it is."""
    return _PLACE.sub(lambda found: values.get(found[1], found[0]), text)


def filled_in(document: Any, occurred: Occurrence) -> Any:
    """In all texts of a document. A text that is nothing but `{column}` becomes the value of that column."""
    match document:
        case str():
            alone = _PLACE.fullmatch(document)
            if alone and alone[1] in occurred.fields:
                return occurred.fields[alone[1]]
            return filled(document, occurred.values)
        case dict():
            return {str(name): filled_in(value, occurred) for name, value in document.items()}  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]
        case list():
            return [filled_in(value, occurred) for value in document]  # pyright: ignore[reportUnknownVariableType]
        case _:
            return document


def rendered(template: Any, occurred: Occurrence) -> Any:
    """As `filled_in`, and with `${...}` for expressions over what occurred; what one gives is looked at no more. A text
    that is nothing but one becomes its value. Raises Unanswerable."""
    match template:
        case str():
            parts = parsed_text(template)
            if len(parts) == 1 and isinstance(parts[0], Expression):
                return value(parts[0], occurred.scope)
            if len(parts) == 1:
                return filled_in(parts[0], occurred)
            return "".join(_written(part, occurred) for part in parts)
        case dict():
            return {str(name): rendered(each, occurred) for name, each in template.items()}  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]
        case list():
            return [rendered(each, occurred) for each in template]  # pyright: ignore[reportUnknownVariableType]
        case _:
            return template


def rendered_text(template: str, occurred: Occurrence) -> str:
    """Always a text; nothing is written for null. Raises Unanswerable."""
    return "".join(_written(part, occurred) for part in parsed_text(template))


def _written(part: str | Expression, occurred: Occurrence) -> str:
    if isinstance(part, str):
        return filled(part, occurred.values)
    match value(part, occurred.scope):
        case None:
            return ""
        case str() as text:
            return text
        case found:
            return msgspec.json.encode(found).decode()
