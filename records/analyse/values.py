"""A value as it is written, by the type of its field: numbers and days as in the language, yes and no, choices."""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache
from math import isfinite
from typing import Any, Final, NamedTuple

from domain.schema import Field, Value
from records.enrich.dates import dates, is_ambiguous
from records.enrich.phones import phones

LONGEST: Final = 500
"""Characters of a text that is a value."""

_NEAR: Final = 60
"""Characters in which a number, a day or an identifier is looked for."""

_LEAD: Final = re.compile(
    r"(?:(?:is|are|was|of|the|at|to|on|by|for|est|sera|du|de|le|la|au|ist|war|am|vom|bis|der|es|era|del|el|al|"
    r"no|nr|num|number|nummer|n[°ºo])(?![\w'’])\.?|[:=#*>«\"“(\s])*",
    re.IGNORECASE,
)
_NUMBER: Final = re.compile(
    r"(?:[A-Z]{3}(?![A-Za-z])|[A-Z]{0,2}[$€£¥₹])?[ \xa0]?"
    r"(?P<sign>[-−+])?[ ]?(?:[$€£¥₹][ ]?)?"
    r"(?P<whole>\d{1,3}(?:(?P<group>[.,'’ \xa0\u202f])\d{3})(?:(?P=group)\d{3})*(?!\d)|\d{1,15})"
    r"(?:(?P<point>[.,])(?P<part>\d{1,12}))?(?![\w.,/:-]*\d)"
)
_EMAIL: Final = re.compile(r"[\w.+%-]{1,64}@[\w-]{1,63}(?:\.[\w-]{1,63}){1,5}")
_TOKEN: Final = re.compile(r"[^\W_](?:[\w./#-]{0,98}\w)?")
_YES: Final = frozenset(re.findall(r"\S+", "yes y true oui vrai ja wahr si verdadero x ✓ ✔ ☑ ☒ 1"))
_NO: Final = frozenset(re.findall(r"\S+", "no n false non faux nein falsch falso ☐ 0"))
_NOTHING: Final = frozenset(
    re.findall(
        r"\S+",
        "- – — -- --- / . ? n/a na tbd tba k.a. unknown inconnu inconnue unbekannt desconocido desconocida null nan",
    )
)


class Parsed(NamedTuple):
    """`doubtful` says why it may be meant otherwise."""

    value: Value
    doubtful: str = ""


@lru_cache(maxsize=20_000)
def plain(word: str) -> str:
    """For comparing: without case and accents."""
    folded = word.casefold()
    if folded.isascii():
        return folded
    return "".join(each for each in unicodedata.normalize("NFKD", folded) if not unicodedata.combining(each))


def parsed(field: Field, raw: Any, language: str) -> Parsed | None:
    """What stands at the beginning of a text, or is a value of JSON. None: it is no value of this field's type."""
    match raw:
        case bool():
            return _of_boolean(field, raw)
        case int() | float():
            return _of_number(field, raw, language)
        case str():
            return _of_text(field, raw, language)
        case _:
            return None


def as_text(raw: Any) -> str:
    """For a value that is kept although it is not of its field's type."""
    return " ".join(str(raw).split())[:LONGEST].strip()


def is_nothing(raw: Any) -> bool:
    """Whether it stands for a value that is not there."""
    return raw is None or (isinstance(raw, str) and (not raw.strip() or raw.strip().casefold() in _NOTHING))


def same(one: Value, other: Value) -> bool:
    if isinstance(one, str) and isinstance(other, str):
        first, second = plain(" ".join(one.split())), plain(" ".join(other.split()))
        return first == second or f" {first} ".find(f" {second} ") >= 0 or f" {second} ".find(f" {first} ") >= 0
    return one == other


def _of_boolean(field: Field, raw: bool) -> Parsed | None:
    match field.type:
        case "boolean":
            return Parsed(raw)
        case "choice":
            return _choice(field, "yes" if raw else "no")
        case _:
            return None


def _of_number(field: Field, raw: float, language: str) -> Parsed | None:
    match field.type:
        case "number" | "amount":
            return Parsed(float(raw)) if _is_finite(raw) else None
        case "integer":
            return Parsed(float(raw)) if _is_finite(raw) and raw == raw // 1 else None
        case "boolean":
            return Parsed(bool(raw)) if raw in (0, 1) else None
        case _:
            written = str(int(raw)) if _is_finite(raw) and raw == raw // 1 else repr(raw)
            return _of_text(field, written, language)


def _is_finite(raw: float) -> bool:
    try:
        return isfinite(float(raw))
    except OverflowError:
        return False


def _of_text(field: Field, raw: str, language: str) -> Parsed | None:
    near = raw[:_NEAR]
    near = near[_LEAD.match(near).end() :]  # pyright: ignore[reportOptionalMemberAccess]  # it matches nothing, too
    match field.type:
        case "text":
            text = as_text(raw).strip("*_ ")
            return Parsed(text) if text else None
        case "number" | "amount" | "integer":
            return _number(field.type, near, language)
        case "date":
            return _date(raw, language)
        case "boolean":
            return _boolean(raw[:_NEAR].lstrip(" \t:=*_[("))
        case "choice":
            return _choice(field, raw)
        case "email":
            email = _EMAIL.search(raw[:400])
            return Parsed(email[0].rstrip(".")) if email else None
        case "phone":
            phone = min(phones(raw[:_NEAR], language), default=None)
            return Parsed(phone.value) if phone else None
        case "identifier":
            return _identifier(field.pattern, near)


def _number(type: str, near: str, language: str) -> Parsed | None:
    found = _NUMBER.match(near)
    if found is None or (found["group"] is not None and found["group"] == found["point"]):
        return None
    whole, point = re.sub(r"\D", "", found["whole"]), found["part"]
    if found["group"] in (".", ",") and point is None and found["whole"].count(found["group"]) == 1:
        decimal = "." if language == "en" else ","
        if found["whole"].startswith("0") or (type == "number" and found["group"] == decimal):
            whole, point = re.split(r"[.,]", found["whole"])
    value = float(f"{whole}.{point or 0}") * (-1 if found["sign"] in ("-", "−") else 1)
    return None if type == "integer" and value != value // 1 else Parsed(value)


def _date(raw: str, language: str) -> Parsed | None:
    hit = min(dates(raw[:_NEAR], language), default=None)
    if hit is None or hit.begin > 25:
        return None
    ambiguous = is_ambiguous(raw[hit.begin : hit.end], language)
    return Parsed(hit.value, "which number is the month?" if ambiguous else "")


def _boolean(near: str) -> Parsed | None:
    word = re.match(r"\w+|[✓✔☑☒☐]", near)
    said = plain(word[0]) if word else ""
    return Parsed(said in _YES) if said in _YES or said in _NO else None


def _words(text: str) -> str:
    words = " ".join(plain(word) for word in re.findall(r"[^\W_]+", text[:200]))
    return f" {words} "


_words_of_choice = lru_cache(maxsize=4_096)(_words)


def _choice(field: Field, raw: str) -> Parsed | None:
    """The one that it says, or calls something else; of several none."""
    words = _words(raw)
    called = [
        (_words_of_choice(each), choice) for choice in field.choices for each in (choice, *field.called.get(choice, ()))
    ]
    said = [(name, choice) for name, choice in called if name == words]
    said = said or [(name, choice) for name, choice in called if name.strip() and name in words]
    meant = {choice for name, choice in said if not any(name in other and name != other for other, _ in said)}
    return Parsed(meant.pop()) if len(meant) == 1 else None


def _identifier(pattern: str | None, near: str) -> Parsed | None:
    """With a pattern the longest beginning that it matches, without spaces; else one word with a digit."""
    tokens = list(_TOKEN.finditer(near.partition("\n")[0]))[:8]
    if not tokens:
        return None
    compiled = _compiled(pattern)
    if compiled is not None:
        for count in range(len(tokens), 0, -1):
            written = near[tokens[0].start() : tokens[count - 1].end()]
            for each in (written, written.replace(" ", ""), re.sub(r"[\s./-]", "", written).upper()):
                if compiled.fullmatch(each):
                    return Parsed(each)
    first = tokens[0][0]
    return Parsed(first) if any(each.isdigit() for each in first) or first == near.strip(" .,;") else None


@lru_cache(maxsize=1_000)
def _compiled(pattern: str | None) -> re.Pattern[str] | None:
    try:
        return re.compile(pattern) if pattern else None
    except (re.error, RecursionError, OverflowError):
        return None
