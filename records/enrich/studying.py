"""One text of a message: its language, the entities in it, and what of it is kept.

Short texts are searched here, long ones in a process that may be ended. A long text is in the store when this is done,
so that a message with many of them does not hold them all in memory.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from time import perf_counter
from typing import Final, NamedTuple

from domain.flag import Flag
from domain.record import Found, Said, SkillRun
from eventstore.blobs import Blobs
from records.enrich import dates, entities, limits
from records.enrich.content import Entities, Find, NotReadable, Part, Table
from records.enrich.fitting import TextRoom
from records.enrich.language import Told, language_of
from records.enrich.plain import SHORT
from records.enrich.processes import ReadingProcesses
from records.enrich.translating import LONGEST

_DETAIL: Final = 300


class Studied(NamedTuple):
    """`begin` is as much of the text as is translated; `said` and `told` are None where there is none."""

    path: str
    begin: str = ""
    said: Said | None = None
    told: Told | None = None
    tables: tuple[Table, ...] = ()
    found: tuple[Found, ...] = ()
    flags: tuple[Flag, ...] = ()
    runs: tuple[SkillRun, ...] = ()


class Student(NamedTuple):
    """`load` makes what is known of a language ready."""

    blobs: Blobs
    processes: ReadingProcesses
    load: Callable[[str], Awaitable[None]]

    async def study(self, part: Part, language_of_source: str, room: TextRoom) -> Studied:
        """Raises LogUnavailable, ProcessesUnavailable."""
        if not part.text.strip():
            return Studied(part.path, tables=part.tables, flags=part.flags, runs=part.runs)
        told = language_of(part.text, language_of_source)
        said = await keep(self.blobs, room, part.path, part.text, part.method)
        found, flags, run = await self._searched(part, told.language)
        flags, runs = (*part.flags, *flags), (*part.runs, run)
        return Studied(part.path, part.text[: LONGEST + 1], said, told, part.tables, found, flags, runs)

    async def _searched(self, part: Part, language: str) -> tuple[tuple[Found, ...], Sequence[Flag], SkillRun]:
        begun, path = perf_counter(), None if part.path == "message" else part.path
        try:
            found, more = await self._found_in(part, language)
        except NotReadable as error:
            reason = f"not searched for entities: {error}"[:_DETAIL]
            return (), [Flag("doubtful", path, reason)], _run(part, begun, reason)
        flags = _doubts(found, language, path)
        if more:
            reason = f"only the first {limits.ENTITIES} entities of {limits.ENTITY_TEXT} characters are kept"
            flags.append(Flag("doubtful", path, reason))
        return found, flags, _run(part, begun)

    async def _found_in(self, part: Part, language: str) -> tuple[tuple[Found, ...], bool]:
        if len(part.text) <= SHORT:
            await self.load(language)
            return entities.found_in(part.text, language, part.path)
        answer = await self.processes.answer(Find(part.text[: limits.ENTITY_TEXT + 1], language, part.path))
        assert isinstance(answer, Entities)
        return answer.found, answer.more


async def keep(blobs: Blobs, room: TextRoom, origin: str, text: str, method: str) -> Said:
    """Raises LogUnavailable."""
    here, whole = room.place(text)
    return Said(origin, here, len(text), method, None if whole else await blobs.put(text.encode()))


def _doubts(found: Sequence[Found], language: str, path: str | None) -> list[Flag]:
    return [
        Flag("doubtful", path, f"{each.text} is read as {each.value}, month first; it may be another day")
        for each in found
        if each.kind == "date" and dates.is_ambiguous(each.text, language)
    ]


def _run(part: Part, begun: float, reason: str = "") -> SkillRun:
    spent = round((perf_counter() - begun) * 1e3, 3)
    return SkillRun("entities", "1", part.path, "failed" if reason else "done", spent, reason)
