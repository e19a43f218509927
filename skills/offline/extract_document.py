"""Any document as text and tables, by what reads the attachments of records: docs/enrichment.md."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from msgspec import Meta, Struct

from domain.skill import RetryPolicy
from eventstore.blobs import BlobMissing
from eventstore.errors import LogUnavailable
from records.enrich import limits
from records.enrich.content import Contents, NotReadable, Part, Read, Table
from skills.offline.places import granted
from skills.skill import Context, Skill, SkillFailed, skill, skill_of

if TYPE_CHECKING:
    from records.enrich.processes import ReadingProcesses

ContentOf = Callable[[str], Awaitable[bytes]]
"""By SHA-256, such as Blobs.get. Raises BlobMissing, LogUnavailable."""


class Document(Struct, frozen=True, forbid_unknown_fields=True):
    """Either the `hash` (SHA-256) of what is in the object store, or a file at `path`. `name` and `media_type` are
    what it is sent as; what it is, is told by what is in it."""

    hash: Annotated[str, Meta(pattern=r"^([0-9a-f]{64})?$")] = ""
    path: str = ""
    name: Annotated[str, Meta(max_length=200)] = ""
    media_type: Annotated[str, Meta(max_length=200)] = ""


class Remark(Struct, frozen=True):
    """`kind`: unreadable, unavailable, doubtful …"""

    kind: str
    part: str
    detail: str


class DocumentPart(Struct, frozen=True):
    """The document itself, or one in it; `method` is what read it."""

    path: str
    method: str
    text: str
    tables: tuple[Table, ...]


class Extracted(Struct, frozen=True):
    """`text` is that of all parts. A document that cannot be read has none, and a remark that says why."""

    text: str
    parts: tuple[DocumentPart, ...]
    remarks: tuple[Remark, ...]


def document_skill(processes: ReadingProcesses, content_of: ContentOf) -> Skill[Any, Any]:
    """Documents are read in the `processes`, which what is in a document cannot leave."""

    @skill(
        "extract_document",
        capabilities=("document_extraction", "text"),
        timeout=120.0,
        retry=RetryPolicy(attempts=3),
        effects=False,
    )
    async def extract_document(asked: Document, context: Context) -> Extracted:
        """Reads PDF, DOCX, XLSX, HTML, XML, JSON, CSV, e-mail, ZIP and text as text and tables, and pictures where
        tesseract is installed; what was wrong with a document is a remark."""
        if bool(asked.hash) == bool(asked.path):
            raise SkillFailed("either hash or path is to be given", retryable=False)
        if asked.path:
            file = granted(asked.path, context)
            name, (content, whole) = asked.name or file.name, await asyncio.to_thread(_read, file)
        else:
            name, content = asked.name or "document", await _stored(asked.hash, content_of)
            content, whole = content[: limits.LARGEST_DOCUMENT], len(content) <= limits.LARGEST_DOCUMENT
        found = await _answered(Read(name.replace("/", "_"), asked.media_type, content, whole), processes)
        return extracted(found.parts)

    return skill_of(extract_document)


def extracted(parts: tuple[Part, ...]) -> Extracted:
    return Extracted(
        "\n\n".join(part.text for part in parts if part.text),
        tuple(DocumentPart(part.path, part.method, part.text, part.tables) for part in parts),
        tuple(Remark(flag.kind, part.path, flag.detail) for part in parts for flag in part.flags),
    )


def _read(file: Path) -> tuple[bytes, bool]:
    """As much as is read of one, and whether that is all."""
    try:
        with file.open("rb") as opened:
            content = opened.read(limits.LARGEST_DOCUMENT)
            return content, not opened.read(1)
    except OSError as error:
        raise SkillFailed(f"{file} cannot be read: {error.strerror}", retryable=False) from error


async def _stored(hash: str, content_of: ContentOf) -> bytes:
    try:
        return await content_of(hash)
    except BlobMissing as error:
        raise SkillFailed(f"nothing is stored with the hash {hash}", retryable=False) from error
    except LogUnavailable as error:
        raise SkillFailed(f"the object store does not answer: {error}") from error


async def _answered(task: Read, processes: ReadingProcesses) -> Contents:
    from records.enrich.processes import ProcessesUnavailable

    try:
        answer = await processes.answer(task)
    except NotReadable as error:
        raise SkillFailed(f"the document is not readable: {error}", retryable=False) from error
    except ProcessesUnavailable as error:
        raise SkillFailed(str(error)) from error
    assert isinstance(answer, Contents)
    return answer
