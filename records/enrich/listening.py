"""What is said in a recording, where somebody transcribes it."""

from __future__ import annotations

from time import perf_counter

from msgspec import structs

from domain.flag import Flag
from domain.record import SkillRun
from records.enrich.content import Part, clean
from records.enrich.limits import LONGEST_TEXT
from records.enrich.ports import SkillFailed, SkillUnavailable, Transcriber


async def listened(transcriber: Transcriber | None, part: Part, content: bytes, language: str) -> Part:
    """The part with what is said in it. Never raises."""
    assert part.media is not None
    if transcriber is None:
        return _not(part, "transcribe", "", "unavailable", f"nothing here transcribes {part.media}", 0.0)
    begun, version = perf_counter(), await transcriber.version()
    try:
        said = clean(await transcriber.transcribe(content, part.media, language))[:LONGEST_TEXT]
    except SkillUnavailable as error:
        return _not(part, transcriber.name, version, "unavailable", str(error), _milliseconds(begun))
    except SkillFailed as error:
        return _not(part, transcriber.name, version, "failed", str(error), _milliseconds(begun))
    run = SkillRun(transcriber.name, version, part.path, "done", _milliseconds(begun))
    return structs.replace(part, text=said, method=transcriber.name, runs=(*part.runs, run))


def _not(part: Part, name: str, version: str, outcome: str, reason: str, milliseconds: float) -> Part:
    run = SkillRun(name, version, part.path, outcome, milliseconds, reason[:300])  # pyright: ignore
    flag = Flag("unavailable" if outcome == "unavailable" else "unreadable", part.path, reason[:300])
    return structs.replace(part, flags=(*part.flags, flag), runs=(*part.runs, run))


def _milliseconds(begun: float) -> float:
    return round((perf_counter() - begun) * 1e3, 3)
