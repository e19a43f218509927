"""How much is read of one attachment, and what may be spent on it. What is more is cut and flagged."""

from __future__ import annotations

from typing import Final

from msgspec import Struct

MEGABYTE: Final = 1024 * 1024

LONGEST_TEXT: Final = 2_000_000
"""Characters that are kept of one document."""

LARGEST_DOCUMENT: Final = 32 * MEGABYTE
"""Bytes. Of more, a text is read as far as LONGEST_TEXT, and nothing else is."""

TEXT_BYTES: Final = 4 * LONGEST_TEXT
LARGEST_ANSWER: Final = 64 * MEGABYTE
"""Of a reading process: text, tables and remarks within these limits need less."""

PDF_PAGES: Final = 100
PDF_TABLE_PAGES: Final = 10
OCR_PAGES: Final = 5
LARGEST_IMAGE: Final = 40_000_000
"""Pixels."""

TABLES: Final = 20
TABLE_ROWS: Final = 200
TABLE_COLUMNS: Final = 50
LONGEST_CELL: Final = 500
SHEET_ROWS: Final = 50_000
"""Rows of one sheet that are looked at, empty ones too."""

ZIP_ENTRIES: Final = 2_000
ZIP_UNPACKED: Final = 64 * MEGABYTE
ZIP_RATIO: Final = 200
"""How many times larger an entry of at least a megabyte may be than it is packed; text rarely reaches 20."""

PARTS: Final = 20
"""Documents in one document: files in an archive, attachments of an e-mail."""

DEPTH: Final = 2
"""Levels of documents in documents."""

ENTITIES: Final = 500
"""Of one part of a message."""

ENTITY_TEXT: Final = 200_000
"""Characters that are searched for them."""


class Limits(Struct, frozen=True):
    """Of one document in one reading process: bytes of address space, seconds of processor time and of waiting."""

    memory: int = 512 * MEGABYTE
    cpu_seconds: float = 20.0
    wall_seconds: float = 40.0
