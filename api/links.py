"""Where things are: every path and link of the API is made here."""

from __future__ import annotations

from typing import Any, Final
from urllib.parse import quote, urlencode

API: Final = "/api/v1"
_PATHS: Final = {"inbound": "inbound", "entity": "entities"}
"""Categories whose path is not their plural."""


def path_of(category: str, id: str) -> str:
    """The resource that a stream is the history of."""
    return f"{API}/{_PATHS.get(category, f'{category}s')}/{quote(id, safe='')}"


def link(path: str, **query: Any) -> str:
    """With those of the query's parts that are not None, encoded."""
    given = {name: value for name, value in query.items() if value is not None}
    return f"{path}?{urlencode(given)}" if given else path
