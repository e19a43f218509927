"""What JSON that is to be recorded must be like, whichever edge it comes in by."""

from __future__ import annotations

from typing import Any

import msgspec

from handlers.command import Fault


def nul_faults(data: bytes, where: str = "/data") -> list[Fault]:
    """Every text of a JSON document that holds NUL: PostgreSQL stores none, so no read model could show it."""
    if b"\\u0000" not in data:
        return []
    return _with_nul(msgspec.json.decode(data), where)


def one_line(document: bytes) -> bytes:
    """The same JSON without line breaks: events stand one to a line in NDJSON, and one to a message in SSE."""
    if b"\n" in document or b"\r" in document:
        return msgspec.json.format(document, indent=-1)
    return document


def _with_nul(value: Any, where: str) -> list[Fault]:
    match value:
        case str():
            return [Fault(where, "must not contain NUL")] if "\0" in value else []
        case list():
            parts: list[tuple[Any, Any]] = list(enumerate(value))  # pyright: ignore[reportUnknownArgumentType]
        case dict():
            parts = list(value.items())  # pyright: ignore[reportUnknownArgumentType]
        case _:
            return []
    faults = [Fault(where, "must not have a name with NUL") for name, _ in parts if "\0" in str(name)]
    return faults + [fault for name, part in parts for fault in _with_nul(part, f"{where}/{name}".replace("\0", "�"))]
