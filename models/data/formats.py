"""Files of rows, by what they are called and by how they are announced."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Literal

Format = Literal["csv", "parquet", "ndjson"]

ENDINGS: Final[Mapping[str, Format]] = {".csv": "csv", ".parquet": "parquet", ".ndjson": "ndjson", ".jsonl": "ndjson"}
"""Of their names, in small letters."""

MEDIA_TYPES: Final[Mapping[str, Format]] = {
    "text/csv": "csv",
    "application/vnd.apache.parquet": "parquet",
    "application/x-parquet": "parquet",
    "application/x-ndjson": "ndjson",
}


def media_type(format: Format) -> str:
    """The first one of each is the one to send."""
    return next(kind for kind, each in MEDIA_TYPES.items() if each == format)
