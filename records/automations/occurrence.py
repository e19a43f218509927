"""Something that occurred, whatever it was: a file, a row, a moment."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

_PLACE: Final = re.compile(r"\{([A-Za-z_][A-Za-z0-9_]*)\}")


@dataclass(frozen=True)
class Occurrence:
    """`id` is the same whenever the same thing is seen. `values` stand in texts for what occurred; `fields` are those
    of a row, `content` the bytes of a file called `name`, and `unfit` says why they are not here. `cursor` is where
    the next look begins."""

    id: str
    what: str
    time: datetime
    values: Mapping[str, str]
    fields: Mapping[str, Any] = field(default_factory=dict[str, Any])
    name: str = ""
    content: bytes | None = None
    unfit: str = ""
    cursor: str | None = None


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
