"""Amounts, dates, parties, addresses and numbers in a text. Every search takes time in proportion to its length."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from domain.record import Found
from records.enrich import limits, phones
from records.enrich.amounts import amounts
from records.enrich.dates import dates
from records.enrich.hits import Hit
from records.enrich.identifiers import identifiers
from records.enrich.parties import parties

_URL: Final = re.compile(r"(?i)(?<!\w)(?:https?://|www\.)[^\s<>\"'{}|\\^`\[\]]{3,500}")
_EMAIL: Final = re.compile(r"(?<![\w.+%-])[\w.+%-]{1,64}@(?:[\w-]{1,63}\.){1,6}[A-Za-z]{2,24}(?![\w-])")
_LONGEST: Final = 200


def load(language: str) -> None:
    """Imports and reads what the first search would wait for."""
    phones.load(language)
    found_in("1 EUR", language, "message")


def found_in(text: str, language: str, origin: str) -> tuple[tuple[Found, ...], bool]:
    """In the order of the text, each value once; and whether there are more than are kept or looked at."""
    searched = text[: limits.ENTITY_TEXT]
    taken = bytearray(len(searched))
    hits: list[Hit] = []
    for hit in _hits(searched, language):
        if hit.kind == "party":
            hits.append(hit)
        elif taken.find(1, hit.begin, hit.end) < 0:
            taken[hit.begin : hit.end] = b"\1" * (hit.end - hit.begin)
            hits.append(hit)
    hits.sort()
    found: dict[tuple[str, str], Found] = {}
    for hit in hits:
        written = searched[hit.begin : hit.end][:_LONGEST]
        found.setdefault((hit.kind, hit.value), Found(hit.kind, hit.value[:_LONGEST], written, origin))
    ordered = tuple(found.values())
    return ordered[: limits.ENTITIES], len(ordered) > limits.ENTITIES or len(text) > len(searched)


def _hits(text: str, language: str) -> Iterator[Hit]:
    """The surest first: what they cover is nothing else."""
    for found in _URL.finditer(text):
        url = found[0].rstrip(".,;:!?)")
        yield Hit(found.start(), found.start() + len(url), "url", url)
    for found in _EMAIL.finditer(text):
        yield Hit(*found.span(), "email", found[0].lower())
    yield from dates(text, language)
    yield from amounts(text)
    yield from identifiers(text)
    yield from phones.phones(text, language)
    yield from parties(text)
