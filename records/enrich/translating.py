"""The text of a message in the language of its source, where somebody translates it."""

from __future__ import annotations

from time import perf_counter
from typing import Final, NamedTuple

from domain.flag import Flag
from domain.record import SkillRun
from records.enrich.ports import SkillFailed, SkillUnavailable, Translator

LONGEST: Final = 20_000
"""Characters that are translated."""

_KNOWN: Final = 0.8
"""Share of the words; below it a translation is doubtful."""


class Translated(NamedTuple):
    text: str | None
    flags: tuple[Flag, ...]
    run: SkillRun


async def translated(translator: Translator | None, text: str, language: str, wanted: str) -> Translated:
    """Never raises."""
    if translator is None:
        return _not("translate", "", "unavailable", f"nothing here translates from {language} to {wanted}", 0.0)
    begun, version = perf_counter(), await translator.version()
    try:
        said, known = await translator.translate(text[:LONGEST], language, wanted)
    except (SkillFailed, SkillUnavailable) as error:
        spent = _milliseconds(begun)
        if isinstance(error, SkillUnavailable):
            return _not(translator.name, version, "unavailable", str(error), spent)
        return _not(translator.name, version, "failed", str(error), spent)
    doubts: list[str] = []
    if known < _KNOWN:
        doubts.append(f"{1 - known:.0%} of the words of the translation were not known")
    if len(text) > LONGEST:
        doubts.append(f"only the first {LONGEST} characters are translated")
    run = SkillRun(translator.name, version, "message", "done", _milliseconds(begun))
    return Translated(said, tuple(Flag("doubtful", None, doubt) for doubt in doubts), run)


def _not(name: str, version: str, outcome: str, reason: str, milliseconds: float) -> Translated:
    """Not having a translation takes nothing away: it is `unavailable` to whoever reads the record, either way."""
    run = SkillRun(name, version, "message", outcome, milliseconds, reason[:300])  # pyright: ignore
    return Translated(None, (Flag("unavailable", None, f"translation: {reason}"[:300]),), run)


def _milliseconds(begun: float) -> float:
    return round((perf_counter() - begun) * 1e3, 3)
