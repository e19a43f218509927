"""Which attachments are so plain that they are read where they are."""

from __future__ import annotations

from typing import Final

from records.enrich.kinds import expected

SHORT: Final = 2_000
"""Bytes of an attachment that is read here; characters of a text that is searched here."""

_CONTROLS: Final = bytes(set(range(32)) - set(b"\t\n\r")) + b"\x7f"


def is_plain(content: bytes, label: str, media_type: str) -> bool:
    """Short text without anything in it that a library would have to understand."""
    if not 0 < len(content) <= SHORT or expected(label, media_type) != "text":
        return False
    if content.lstrip()[:1] in (b"<", b"{", b"[", b"%", b"\xef") or content.startswith((b"PK", b"II", b"MM")):
        return False
    try:
        content.decode()
    except UnicodeDecodeError:
        return False
    return b"%PDF-" not in content and len(content.translate(None, _CONTROLS)) == len(content)
