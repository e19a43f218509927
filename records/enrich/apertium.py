"""Translation by the program `apertium`, with the pairs of languages that are installed; by way of a third language
where a pair is not."""

from __future__ import annotations

import asyncio
import re
import shutil
from typing import Final

from records.enrich.ports import SkillUnavailable
from records.enrich.programs import output

_TWO_LETTERS: Final = {
    **{"eng": "en", "fra": "fr", "deu": "de", "spa": "es", "ita": "it", "por": "pt", "cat": "ca", "nld": "nl"},
    **{"pol": "pl", "dan": "da", "swe": "sv", "nob": "no", "ron": "ro", "rus": "ru", "ukr": "uk", "hrv": "hr"},
}
_PAIR: Final = re.compile(r"^\s*([a-z]{2,3})-([a-z]{2,3})\s*$", re.MULTILINE)
_UNKNOWN: Final = re.compile(r"(?<!\w)[*@#](?=\w)")
_WORD: Final = re.compile(r"\w+")
_PATIENCE: Final = 20.0
"""Seconds."""

Pair = tuple[str, str]


class Apertium:
    """Which pairs there are is asked once. Safe for any number of concurrent callers."""

    name = "apertium"

    def __init__(self) -> None:
        self._modes: dict[Pair, str] | None = None
        self._version: str | None = None
        self._asking = asyncio.Lock()

    async def version(self) -> str:
        async with self._asking:
            if self._version is None:
                self._version = await self._asked_version() if shutil.which("apertium") else ""
        return self._version

    async def translate(self, text: str, source: str, target: str) -> tuple[str, float]:
        """Raises SkillFailed, SkillUnavailable."""
        way = route(await self._pairs(), source, target)
        if way is None:
            raise SkillUnavailable(f"apertium has no way from {source} to {target} installed")
        words, unknown = max(1, len(_WORD.findall(text))), 0
        for mode in way:
            said = (await output(("apertium", mode), text.encode(), seconds=_PATIENCE)).decode(errors="replace")
            text, marks = _UNKNOWN.subn("", said)
            unknown += marks
        return text, max(0.0, round(1 - unknown / words, 3))

    async def _pairs(self) -> dict[Pair, str]:
        if shutil.which("apertium") is None:
            raise SkillUnavailable("apertium is not installed")
        async with self._asking:
            if self._modes is None:
                self._modes = modes((await output(("apertium", "-l"), b"", seconds=_PATIENCE)).decode(errors="replace"))
        return self._modes

    async def _asked_version(self) -> str:
        try:
            said = (await output(("apertium", "-V"), b"", seconds=_PATIENCE)).decode(errors="replace").split()
        except Exception:
            return "unknown"
        return said[-1] if said else "unknown"


def modes(listed: str) -> dict[Pair, str]:
    """The name of the mode of each pair of ISO 639-1 languages, from what `apertium -l` says."""
    found: dict[Pair, str] = {}
    for each in _PAIR.finditer(listed):
        source, target = _TWO_LETTERS.get(each[1], each[1]), _TWO_LETTERS.get(each[2], each[2])
        if len(source) == len(target) == 2:
            found.setdefault((source, target), f"{each[1]}-{each[2]}")
    return found


def route(installed: dict[Pair, str], source: str, target: str) -> tuple[str, ...] | None:
    """The mode from one to the other, or the two by way of a third: the first one by name."""
    if (source, target) in installed:
        return (installed[source, target],)
    between = sorted(middle for begin, middle in installed if begin == source and (middle, target) in installed)
    return (installed[source, between[0]], installed[between[0], target]) if between else None
