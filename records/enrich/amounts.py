"""Sums of money: found by a pattern, their number told by price-parser, as `1234.56 EUR`."""

from __future__ import annotations

import re
from collections.abc import Iterator
from decimal import Decimal
from typing import Final

from records.enrich.hits import Hit

_CODES: Final = re.findall(r"\w+", "AUD BRL CAD CHF CNY CZK DKK EUR GBP HUF INR JPY MXN NOK PLN RON SEK TRY USD ZAR")
_SIGNS: Final = {
    **{code.lower(): code for code in _CODES},
    **{"us$": "USD", "c$": "CAD", "ca$": "CAD", "a$": "AUD", "au$": "AUD", "r$": "BRL", "$": "USD"},
    **{"€": "EUR", "£": "GBP", "¥": "JPY", "₹": "INR", "zł": "PLN", "kč": "CZK", "sfr.": "CHF", "fr.": "CHF"},
    **{"euro": "EUR", "euros": "EUR", "dollar": "USD", "dollars": "USD", "dólares": "USD", "pounds": "GBP"},
}
_SIGN: Final = "|".join(map(re.escape, sorted(_SIGNS, key=len, reverse=True)))
_NUMBER: Final = r"\d{1,3}(?:[.,'’ \xa0\u202f]\d{3}){1,5}(?:[.,]\d{1,2})?(?![\d])|\d{1,15}(?:[.,]\d{1,4})?"
_SCALES: Final = {
    **dict.fromkeys(("k", "thousand", "mille", "tausend", "mil"), 1_000),
    **dict.fromkeys(("m", "mn", "mio", "million", "millions", "millionen", "millones"), 1_000_000),
    **dict.fromkeys(("bn", "mrd", "billion", "milliard", "milliards", "milliarden"), 1_000_000_000),
}
_SCALE: Final = "|".join(sorted(_SCALES, key=len, reverse=True))
_BEFORE: Final = re.compile(
    rf"(?<![\w$])(?P<sign>{_SIGN})[ \xa0]?(?P<minus>[-−])?(?P<number>{_NUMBER})(?:[ ]?(?P<scale>{_SCALE})\b)?(?![\w%])",
    re.IGNORECASE,
)
_AFTER: Final = re.compile(
    rf"(?<![\w.,])(?P<minus>[-−])?(?P<number>{_NUMBER})(?:[ ](?P<scale>{_SCALE})\.?)?[ \xa0\u202f]?"
    rf"(?P<sign>{_SIGN})(?!\w)",
    re.IGNORECASE,
)


def amounts(text: str) -> Iterator[Hit]:
    for pattern in (_AFTER, _BEFORE):
        for found in pattern.finditer(text):
            number = _number(found["number"])
            if number is not None:
                scaled = number * _SCALES.get((found["scale"] or "").lower(), 1) * (-1 if found["minus"] else 1)
                yield Hit(*found.span(), "amount", f"{plain(scaled)} {_SIGNS[found['sign'].lower()]}")


def plain(number: Decimal) -> str:
    """Without zeros at its end, and without an exponent."""
    written = f"{number:f}"
    return written.rstrip("0").rstrip(".") if "." in written else written


def _number(written: str) -> Decimal | None:
    from price_parser import Price

    return Price.fromstring(re.sub(r"[’\xa0\u202f]", " ", written)).amount
