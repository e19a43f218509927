"""Telephone numbers as E.164. One without its country is taken for one of a country where the language is spoken."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from records.enrich.hits import Hit

_REGIONS: Final = {
    "en": ("US", "GB"),
    "fr": ("FR", "BE", "CH"),
    "de": ("DE", "AT", "CH"),
    "es": ("ES", "MX"),
    "it": ("IT", "CH"),
    "nl": ("NL", "BE"),
    "pt": ("PT", "BR"),
    "pl": ("PL",),
    "da": ("DK",),
    "sv": ("SE",),
    "no": ("NO",),
    "fi": ("FI",),
    "cs": ("CZ",),
}
_CANDIDATE: Final = re.compile(
    r"(?<![\w.,/+-])(?:\+|00)?(?:\(\+?\d{1,5}\)[ ]?)?\d(?:[ \xa0().\-/]{0,2}\d){5,14}(?![\w])"
)
_LABELLED: Final = re.compile(
    r"(?i)\b(?:tel|t[ée]l[ée]phone|telefono?|phone|mobile?|m[óo]vil|handy|fax|call|whatsapp)\W{0,4}$"
)
_AMERICAN: Final = re.compile(r"(?:1[ .-])?\(?[2-9]\d\d\)?[ .-]\d{3}[ .-]\d{4}")


def phones(text: str, language: str) -> Iterator[Hit]:
    for found in _CANDIDATE.finditer(text):
        written = found[0]
        looks = written.startswith(("+", "0", "(")) or _AMERICAN.fullmatch(written)
        if looks or _LABELLED.search(text, max(0, found.start() - 15), found.start()):
            number = _canonical(written, language)
            if number is not None:
                yield Hit(*found.span(), "phone", number)


def load(language: str) -> None:
    """Reads what is known of the countries of a language."""
    _canonical("0123456789", language)
    _canonical("+33142685300", language)


def _canonical(written: str, language: str) -> str | None:
    import phonenumbers

    international = "+" + written[2:] if written.startswith("00") else written
    regions = (None,) if international.startswith("+") else _REGIONS.get(language, ())
    for region in regions:
        try:
            number = phonenumbers.parse(international, region)
        except phonenumbers.NumberParseException:
            continue
        if phonenumbers.is_valid_number(number):
            return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)
    return None
