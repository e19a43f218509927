"""Any document as text and tables, and what was wrong with it. Never fails; runs in a process of its own."""

from __future__ import annotations

import zipfile
from collections.abc import Callable, Iterator
from email.message import Message as Headers
from time import perf_counter
from typing import Final

from domain.flag import Flag
from domain.record import SkillRun
from records.enrich import archives, limits, markup, ocr, text_file
from records.enrich.content import Collected, NotAvailable, NotReadable, Part, Read, version_of
from records.enrich.docx_file import read_docx
from records.enrich.eml_file import Attached, read_eml
from records.enrich.kinds import Detected, Kind, detect, differs, expected
from records.enrich.pdf_file import read_pdf
from records.enrich.xlsx_file import read_xlsx

_PROGRAMS: Final[dict[Kind, str]] = {
    "pdf": "pypdf",
    "docx": "python-docx",
    "xlsx": "openpyxl",
    "html": "lxml",
    "xml": "lxml",
    "image": "tesseract",
}
_READERS: Final[dict[Kind, Callable[[bytes, Collected], None]]] = {
    "pdf": read_pdf,
    "docx": read_docx,
    "xlsx": read_xlsx,
    "html": markup.read_html,
    "xml": markup.read_xml,
    "json": text_file.read_json,
    "image": ocr.read_image,
}
_TEXTS: Final = frozenset({"text", "csv", "json", "xml", "html"})
_LONGEST_DETAIL: Final = 300


def read(task: Read, depth: int = 0) -> tuple[Part, ...]:
    """The document first, then those in it."""
    begun = perf_counter()
    wanted = expected(task.path.rpartition("/")[2], task.media_type)
    into, inside, detected = Collected(), list[Attached](), Detected("unknown", "")
    flags: list[Flag] = []
    try:
        detected = detect(task.content, wanted)
        if differs(detected.kind, wanted):
            flags.append(_flag("doubtful", task.path, f"sent as {wanted}, but it is {_said(detected)}"))
        inside = _read(task, detected, into, depth)
        outcome, reason = "done", ""
    except NotReadable as error:
        outcome, reason = "failed", str(error)
        flags.append(_flag("unreadable", task.path, reason))
    except NotAvailable as error:
        outcome, reason = "unavailable", str(error)
        flags.append(_flag("unavailable", task.path, reason))
    flags.extend(_flag("doubtful", task.path, remark) for remark in into.remarks)
    method = f"read-{detected.kind}"
    spent = round((perf_counter() - begun) * 1e3, 3)
    run = SkillRun(method, _version(detected.kind), task.path, outcome, spent, reason[:_LONGEST_DETAIL])
    media = detected.media_type if detected.kind == "media" else None
    runs = () if media else (run,)
    part = Part(task.path, method, into.text, tuple(into.tables), tuple(flags), runs, media)
    return part, *_inner(task.path, inside, depth)


def _inner(path: str, inside: list[Attached], depth: int) -> Iterator[Part]:
    for name, media_type, content in inside:
        inner = name.replace("/", "_").replace("\0", "")[:200]
        yield from read(Read(f"{path}/{inner}", media_type, content), depth + 1)


def _read(task: Read, detected: Detected, into: Collected, depth: int) -> list[Attached]:
    kind = detected.kind
    if not task.content:
        raise NotReadable("it is empty")
    if not task.whole and kind not in _TEXTS:
        raise NotReadable(f"it has more than {limits.LARGEST_DOCUMENT} bytes")
    if not task.whole:
        into.doubt(f"only the first {limits.LONGEST_TEXT} characters are read")
    match kind:
        case "text":
            text_file.read_text(task.content, into, _charset(task.media_type))
        case "csv":
            text_file.read_csv(task.content, into, _charset(task.media_type))
        case "pdf" | "docx" | "xlsx" | "html" | "xml" | "json" | "image":
            _READERS[kind](task.content, into)
        case "eml" | "zip" if depth >= limits.DEPTH:
            raise NotReadable("documents in documents in documents are not read")
        case "eml":
            return read_eml(task.content, into)
        case "zip":
            return _unpacked(task.content, into)
        case "media":
            pass  # listened to by whoever asked
        case "other" | "unknown" if expected(task.path.rpartition("/")[2], task.media_type) in _TEXTS:
            raise NotReadable(f"sent as text, but its bytes are no text: {_said(detected)}")
        case "other":
            raise NotAvailable(f"nothing here reads {detected.media_type}")
        case "unknown":
            raise NotReadable("it is of no kind that is known")
    return []


def _unpacked(content: bytes, into: Collected) -> list[Attached]:
    """Raises NotReadable where nothing comes out."""
    inside = list(_entries(content, into))
    if not inside and into.remarks:
        raise NotReadable("; ".join(into.remarks))
    return inside


def _entries(content: bytes, into: Collected) -> Iterator[Attached]:
    """Files of an archive. All of them together unpack to no more than the limit."""
    with archives.opened(content) as archive:
        files = [entry for entry in archive.infolist() if not entry.is_dir()]
        if len(files) > limits.PARTS:
            into.doubt(f"only the first {limits.PARTS} of {len(files)} files are read")
        room = limits.ZIP_UNPACKED
        for entry in files[: limits.PARTS]:
            unpacked = _entry(archive, entry, room, into)
            if unpacked is not None:
                room -= len(unpacked)
                yield entry.filename, "application/octet-stream", unpacked


def _entry(archive: zipfile.ZipFile, entry: zipfile.ZipInfo, room: int, into: Collected) -> bytes | None:
    try:
        return archives.member(archive, entry, min(room, limits.LARGEST_DOCUMENT))
    except NotReadable as error:
        into.doubt(f"{entry.filename}: {error}")
        return None


def _charset(media_type: str) -> str | None:
    headers = Headers()
    headers["Content-Type"] = " ".join(media_type.split())
    return headers.get_content_charset()


def _said(detected: Detected) -> str:
    return detected.media_type if detected.kind in ("other", "media") else detected.kind


def _version(kind: Kind) -> str:
    if kind == "image":
        return ocr.version() if ocr.available() else ""
    return version_of(_PROGRAMS[kind]) if kind in _PROGRAMS else "1"


def _flag(kind: str, path: str, detail: str) -> Flag:
    return Flag(kind, path, " ".join(detail.split())[:_LONGEST_DETAIL])  # pyright: ignore[reportArgumentType]
