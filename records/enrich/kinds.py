"""What a file is, by what is in it. Its name and the type it was sent as say only what it should be."""

from __future__ import annotations

import json
import re
import zipfile
from importlib import import_module
from io import BytesIO
from mimetypes import guess_type
from typing import Any, Final, Literal, NamedTuple

from records.enrich.decoding import decode, is_text

Kind = Literal[
    "text", "csv", "json", "xml", "html", "eml", "pdf", "docx", "xlsx", "zip", "image", "media", "other", "unknown"
]

_TEXTS: Final[frozenset[Kind]] = frozenset({"text", "csv", "json", "xml", "html", "eml"})
_WORD: Final = "application/vnd.openxmlformats-officedocument.wordprocessingml.document"
_EXCEL: Final = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
_DECLARED: Final[dict[str, Kind]] = {
    "application/pdf": "pdf",
    _WORD: "docx",
    _EXCEL: "xlsx",
    "application/zip": "zip",
    "application/x-zip-compressed": "zip",
    "application/json": "json",
    "application/xml": "xml",
    "application/xhtml+xml": "html",
    "message/rfc822": "eml",
    "text/csv": "csv",
    "text/tab-separated-values": "csv",
    "application/csv": "csv",
    "text/html": "html",
    "text/xml": "xml",
    "text/plain": "text",
}
_FAMILIES: Final[dict[str, Kind]] = {"image": "image", "audio": "media", "video": "media", "text": "text"}
_GENERIC: Final = frozenset({"", "application/octet-stream", "binary/octet-stream", "application/unknown"})
_IMAGES: Final = (b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"GIF87a", b"GIF89a", b"II*\0", b"MM\0*")
_ARCHIVE: Final = (b"PK\x03\x04", b"PK\x05\x06")
_MAIL: Final = re.compile(r"(?im)^(from|to|subject|date|received|message-id|mime-version|return-path):")
_HTML: Final = re.compile(r"<(!doctype html|html|head|body|table|div|p|br|span)\b", re.IGNORECASE)
_LONGEST_SNIFFED: Final = 2_000_000


class Detected(NamedTuple):
    kind: Kind
    media_type: str


def expected(name: str, media_type: str) -> Kind | None:
    """What it says it is; None where it says nothing that is known."""
    declared = media_type.partition(";")[0].strip().lower()
    if declared in _GENERIC:
        declared = (guess_type(name)[0] or ("message/rfc822" if name.lower().endswith(".eml") else "")).lower()
    return _DECLARED.get(declared) or _FAMILIES.get(declared.partition("/")[0])


def differs(kind: Kind, wanted: Kind | None) -> bool:
    """Whether a file of this kind cannot be what it was sent as. Texts of all kinds are alike."""
    if wanted is None or kind == wanted:
        return False
    return not (kind in _TEXTS and wanted in _TEXTS) and not (wanted == "zip" and kind in ("docx", "xlsx", "other"))


def detect(content: bytes, wanted: Kind | None) -> Detected:
    if content.startswith(_ARCHIVE):
        return _in_archive(content, wanted)
    if b"%PDF-" in content[:1024]:
        return Detected("pdf", "application/pdf")
    if content.startswith(_IMAGES) or (content.startswith(b"RIFF") and content[8:12] == b"WEBP"):
        return Detected("image", "image/*")
    if not content.startswith(b"{\\rtf") and is_text(content):
        kind = _of_text(content, wanted)
        return Detected(kind, f"text/{kind}")
    return _by_signature(content)


def _of_text(content: bytes, wanted: Kind | None) -> Kind:
    begin = decode(content[:4096]).text.lstrip().lower()
    if begin.startswith("<?xml") and "<html" not in begin:
        return "xml"
    if _HTML.match(begin) or (wanted == "html" and _HTML.search(begin)) or begin.startswith("<?xml"):
        return "html"
    if begin[:1] in ("{", "[") and len(content) <= _LONGEST_SNIFFED and _is_json(decode(content).text):
        return "json"
    if wanted in ("eml", None) and _is_mail(begin):
        return "eml"
    if wanted == "xml" and begin.startswith("<"):
        return "xml"
    return wanted if wanted in ("csv", "json") else "text"


def _is_mail(begin: str) -> bool:
    """Its first line is a header, and so are two more of its first paragraph."""
    head = begin.partition("\n\n")[0]
    return _MAIL.match(head) is not None and len({each.group(1) for each in _MAIL.finditer(head)}) >= 3


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True


def _in_archive(content: bytes, wanted: Kind | None) -> Detected:
    """A broken one is taken for what it says it is: its reader says why it cannot be read."""
    try:
        with zipfile.ZipFile(BytesIO(content)) as archive:
            names = set(archive.namelist())
    except (zipfile.BadZipFile, ValueError, OSError, NotImplementedError, EOFError):
        return Detected(wanted if wanted in ("docx", "xlsx") else "zip", "application/zip")
    if "word/document.xml" in names:
        return Detected("docx", _WORD)
    if "xl/workbook.xml" in names:
        return Detected("xlsx", _EXCEL)
    if "ppt/presentation.xml" in names:
        return Detected("other", "application/vnd.openxmlformats-officedocument.presentationml.presentation")
    if "mimetype" in names and "content.xml" in names:
        return Detected("other", "application/vnd.oasis.opendocument")
    return Detected("zip", "application/zip")


def _by_signature(content: bytes) -> Detected:
    puremagic: Any = import_module("puremagic")
    found: list[Any]
    try:
        found = puremagic.magic_string(content[:65_536])
    except (puremagic.PureError, ValueError, LookupError, OSError):
        found = []
    media_type: str = next((each.mime_type for each in found if each.mime_type and each.confidence >= 0.3), "")
    family = media_type.partition("/")[0]
    if media_type == "application/ogg" or family in ("audio", "video"):
        return Detected("media", media_type)
    if family == "image":
        return Detected("image", media_type)
    return Detected("other", media_type) if media_type else Detected("unknown", "")
