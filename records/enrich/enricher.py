"""From a message to what is in it: attachments fetched and read, language, entities, translation.

Whatever is wrong with an attachment is a flag on it, and the message goes on. Short plain text is looked at where it
is; everything else in processes of its own (records.enrich.processes).
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from time import perf_counter
from typing import Final

from msgspec import structs

from domain.flag import Flag
from domain.message import Attachment, Message
from domain.record import Enrichment, Said, SkillRun
from eventstore.blobs import Blobs
from records.enrich import entities, language, limits
from records.enrich.attached import Fetch, labels, obtain
from records.enrich.content import Contents, Find, NotReadable, Part, Read, clean, version_of
from records.enrich.fitting import TextRoom
from records.enrich.language import Told
from records.enrich.limits import Limits
from records.enrich.listening import listened
from records.enrich.plain import is_plain
from records.enrich.ports import Transcriber, Translator
from records.enrich.processes import ProcessesUnavailable, ReadingProcesses
from records.enrich.reading import read
from records.enrich.recording import on_record
from records.enrich.room import Held, Room
from records.enrich.studying import Student, Studied, keep
from records.enrich.translating import translated

_IN_FLIGHT: Final = 256 * limits.MEGABYTE
_UNKNOWN_SIZE: Final = 25 * limits.MEGABYTE
"""Bytes that are kept free for an attachment that nobody has said the size of: a source takes no more by default."""


class EnrichFailed(Exception):
    """Nothing is wrong with the message: another attempt may succeed, if it is `retryable`."""

    def __init__(self, reason: str, *, retryable: bool) -> None:
        super().__init__(reason)
        self.reason = reason
        self.retryable = retryable


class Enricher:
    """Safe for any number of concurrent callers on one event loop.

    At most `processes` documents are read at a time, and about `in_flight` bytes of attachments are in memory here.
    """

    def __init__(
        self,
        blobs: Blobs,
        fetch: Fetch | None,
        *,
        processes: int = 2,
        limits: Limits | None = None,
        in_flight: int = _IN_FLIGHT,
        translator: Translator | None = None,
        transcriber: Transcriber | None = None,
    ) -> None:
        self._blobs = blobs
        self._fetch = fetch
        self._processes = ReadingProcesses(processes, limits or Limits())
        self._student = Student(blobs, self._processes, self._load)
        self._room = Room(in_flight)
        self._translator = translator
        self._transcriber = transcriber
        self._loaded: set[str] = set()
        self._loading = asyncio.Lock()

    async def warm_up(self, language_of_source: str = "en") -> None:
        """What the first message would wait for: models in memory, and a process that is ready. Raises EnrichFailed."""
        await self._load(language_of_source)
        try:
            await self._processes.answer(Find("", language_of_source, ""))
        except (NotReadable, ProcessesUnavailable) as error:
            raise EnrichFailed(str(error), retryable=True) from error

    async def close(self) -> None:
        """Ends the processes. What is under way is cancelled by its caller."""
        await self._processes.close()

    async def enrich(self, message: Message, language_of_source: str = "en") -> Enrichment:
        """The same for the same message, apart from milliseconds. Raises LogUnavailable while the store of blobs is
        away, EnrichFailed while no process can be started."""
        await self._load(language_of_source)
        try:
            return await self._enriched(message, language_of_source)
        except ProcessesUnavailable as error:
            raise EnrichFailed(str(error), retryable=True) from error

    async def _enriched(self, message: Message, source: str) -> Enrichment:
        room, studied, attachments = TextRoom(), list[Studied](), list[Attachment]()
        studied.append(await self._student.study(Part("message", "text", clean(message.text)), source, room))
        for attachment, label in zip(message.attachments, labels(message.attachments), strict=True):
            size = attachment.size if attachment.size is not None else _UNKNOWN_SIZE
            async with self._room.of(size) as held:
                now, parts = await self._read_attachment(message, attachment, label, source, held)
                attachments.append(now)
                for part in parts:
                    studied.append(await self._student.study(part, source, room))
        spoken = _spoken(studied)
        translation, flags, runs = await self._translation(studied, spoken, source, room)
        if spoken is not None:
            runs = (SkillRun("language", version_of("py3langid"), "message", "done", 0.0), *runs)
        return on_record(studied, tuple(attachments), spoken, translation, flags, runs)

    async def _read_attachment(
        self, message: Message, attachment: Attachment, label: str, source: str, held: Held
    ) -> tuple[Attachment, Sequence[Part]]:
        """What is known of it now; the document, and those in it."""
        got = await obtain(self._blobs, self._fetch, message, attachment, label)
        if got.content is None:
            return got.attachment, [Part(label, "none", flags=got.flags, runs=got.runs)]
        held.correct(len(got.content))
        parts = list(await self._read(label, attachment.media_type, got.content))
        parts[0] = structs.replace(parts[0], runs=(*got.runs, *parts[0].runs))
        for number, part in enumerate(parts):
            if part.media is not None:
                # A recording in another document is not at hand here any more.
                transcriber = self._transcriber if number == 0 else None
                parts[number] = await listened(transcriber, part, got.content, source)
        return got.attachment, parts

    async def _read(self, label: str, media_type: str, content: bytes) -> Sequence[Part]:
        if is_plain(content, label, media_type):
            return read(Read(label, media_type, content))
        whole = len(content) <= limits.LARGEST_DOCUMENT
        begun = perf_counter()
        try:
            task = Read(label, media_type, content if whole else content[: limits.TEXT_BYTES], whole)
            answer = await self._processes.answer(task)
        except NotReadable as error:
            reason = str(error)[:300]
            run = SkillRun("read", "1", label, "failed", round((perf_counter() - begun) * 1e3, 3), reason)
            return [Part(label, "read", flags=(Flag("unreadable", label, reason),), runs=(run,))]
        assert isinstance(answer, Contents)
        return answer.parts

    async def _translation(
        self, studied: Sequence[Studied], spoken: Told | None, source: str, room: TextRoom
    ) -> tuple[Said | None, tuple[Flag, ...], tuple[SkillRun, ...]]:
        if spoken is None or not spoken.sure or spoken.language == source:
            return None, (), ()
        same = "\n\n".join(each.begin for each in studied if each.told and each.told.language == spoken.language)
        result = await translated(self._translator, same, spoken.language, source)
        if result.text is None:
            return None, result.flags, (result.run,)
        kept = await keep(self._blobs, room, "message", clean(result.text), result.run.skill)
        return kept, result.flags, (result.run,)

    async def _load(self, spoken: str) -> None:
        """In a thread, once for each language."""
        if spoken in self._loaded:
            return
        async with self._loading:
            if spoken not in self._loaded:
                await asyncio.to_thread(_load, spoken)
                self._loaded.add(spoken)


def _load(spoken: str) -> None:
    language.load()
    entities.load(spoken)


def _spoken(studied: Sequence[Studied]) -> Told | None:
    """Of the message's own text, where it is long enough to tell; else of the longest that is. None without text."""
    ranked = sorted(
        (
            (not each.told.sure, each.path != "message", -each.said.characters, each.told)
            for each in studied
            if each.told and each.said
        ),
        key=lambda rank: rank[:3],
    )
    return ranked[0][3] if ranked else None
