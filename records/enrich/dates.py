"""Days as they are written in seven languages, as YYYY-MM-DD.

Of numbers alone the first is the day, except between slashes in English, where it is the month if it can be one
(as in the United States). A year of two digits is the nearest one that is at most 30 years after 2019, else before.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import date
from typing import Final

from records.enrich.hits import Hit

_MONTHS: Final = (
    "january jan janvier janv jänner januar enero ene gennaio gen januari janeiro",
    "february feb février fevrier févr fevr fév februar febrero febbraio februari fevereiro fev",
    "march mar mars märz maerz mrz marzo maart mrt março marco",
    "april apr avril avr abril abr aprile",
    "may mai mayo maggio mag mei maio",
    "june jun juin juni junio giugno giu junho",
    "july jul juillet juil juli julio luglio lug julho",
    "august aug août aout agosto ago augustus",
    "september sep sept septembre septiembre settembre set setembro",
    "october oct octobre oktober okt octubre ottobre ott outubro out",
    "november nov novembre noviembre novembro",
    "december dec décembre decembre déc dezember dez diciembre dic dicembre dezembro",
)
_NUMBERS: Final = {name: number for number, names in enumerate(_MONTHS, 1) for name in names.split()}
_NAME: Final = "|".join(sorted(_NUMBERS, key=len, reverse=True))
_ISO: Final = re.compile(
    r"(?<![\w/.-])((?:19|20)\d\d)([-/.])(\d\d?)\2(\d\d?)(?![\w/-]|\.\d)(?!T?\d)|"
    r"(?<![\w/.-])((?:19|20)\d\d)-(\d\d)-(\d\d)(?=T\d\d)"
)
_PLAIN: Final = re.compile(r"(?<![\w/.-])(\d\d?)([-/.])(\d\d?)\2((?:19|20)\d\d|\d\d)(?![\w/-]|[.,]\d)")
_DAY_FIRST: Final = re.compile(
    rf"(?<!\w)(\d\d?)(?:st|nd|rd|th|er|re|\.|º|°)?[ \xa0-]+(?:de[ ]+|of[ ]+)?({_NAME})\b\.?,?[ \xa0-]+"
    r"(?:del?[ ]+)?((?:19|20)\d\d)(?!\w)",
    re.IGNORECASE,
)
_MONTH_FIRST: Final = re.compile(
    rf"(?<!\w)({_NAME})\b\.?[ ]+(\d\d?)(?:st|nd|rd|th)?,?[ ]+((?:19|20)\d\d)(?!\w)", re.IGNORECASE
)
_CENTURY_TURNS: Final = 50


def dates(text: str, language: str) -> Iterator[Hit]:
    for found in _ISO.finditer(text):
        year, month, day = (found[1], found[3], found[4]) if found[1] else (found[5], found[6], found[7])
        yield from _hit(found, int(year), int(month), int(day))
    for found in _PLAIN.finditer(text):
        if len(found[4]) == 4 or found[2] != "-":
            yield from _hit(found, _year(found[4]), *_order(int(found[1]), int(found[3]), found[2], language))
    for found in _DAY_FIRST.finditer(text):
        yield from _hit(found, int(found[3]), _NUMBERS[found[2].lower()], int(found[1]))
    for found in _MONTH_FIRST.finditer(text):
        yield from _hit(found, int(found[3]), _NUMBERS[found[1].lower()], int(found[2]))


def is_ambiguous(written: str, language: str) -> bool:
    """Whether somebody else who writes this language could mean another day."""
    found = _PLAIN.fullmatch(written)
    return (
        found is not None
        and found[2] == "/"
        and language == "en"
        and found[1] != found[3]
        and max(int(found[1]), int(found[3])) <= 12
    )


def _order(first: int, second: int, separator: str, language: str) -> tuple[int, int]:
    """Month and day."""
    month_first = separator == "/" and language == "en"
    month, day = (first, second) if month_first else (second, first)
    return (month, day) if month <= 12 else (day, month)


def _year(written: str) -> int:
    year = int(written)
    return year if len(written) == 4 else year + (2000 if year < _CENTURY_TURNS else 1900)


def _hit(found: re.Match[str], year: int, month: int, day: int) -> Iterator[Hit]:
    try:
        yield Hit(*found.span(), "date", date(year, month, day).isoformat())
    except ValueError:
        return
