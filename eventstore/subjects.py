"""The subject of an event: `evt.<category>.<id>.<version>`. Every subject of the log is built here."""

from __future__ import annotations

import re
from typing import Final

from eventstore.envelope import StreamId
from eventstore.streams import LogLocation

ID_PATTERN: Final = r"^[A-Za-z0-9][A-Za-z0-9_-]{0,127}$"
"""Ids are one subject token and one path segment: no dots, blanks, wildcards or slashes."""

_ID = re.compile(ID_PATTERN)


def is_valid_id(text: str) -> bool:
    return _ID.fullmatch(text) is not None


def event_subject(location: LogLocation, stream: StreamId, version: int) -> str:
    """Raises ValueError for a category or id that is not one plain token."""
    if not (is_valid_id(stream.id) and is_valid_id(stream.category)):
        raise ValueError(f"{stream.category!r}/{stream.id!r} is no valid stream id")
    return f"{location.prefix}.{stream.category}.{stream.id}.{version}"


def stream_filter(location: LogLocation, stream: StreamId) -> str:
    return event_subject(location, stream, 0)[:-1] + "*"


def category_filter(location: LogLocation, category: str) -> str:
    return f"{location.prefix}.{category}.>"
