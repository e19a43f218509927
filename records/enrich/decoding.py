"""Bytes as text, whatever their encoding: by byte order mark, as UTF-8, as declared, or by statistics."""

from __future__ import annotations

import codecs
from typing import Final, NamedTuple

from records.enrich import limits

_MARKS: Final = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_SAMPLE: Final = 50_000
_CONTROLS: Final = bytes(set(range(32)) - set(b"\0\t\n\v\f\r\x1b")) + b"\x7f"
_MOST_CONTROLS: Final = 0.02
"""Share of the bytes; noise has a tenth of them."""

_WIDE: Final = 0.4
"""Share of NULs on every other byte from which it is UTF-16 of a European language."""


_MOST_LOST: Final = 0.5
"""Share of the characters; of a text in another encoding than it says, nearly all that are not ASCII are lost."""

_MOST_FOREIGN: Final = 0.3
"""Share of the bytes that are not ASCII, of what makes no sense in any encoding. Accented letters are a tenth of a text
in Latin letters, and hardly more; other letters make sense in theirs."""


class Decoded(NamedTuple):
    """`doubt` says what was guessed or lost; empty for nothing. `garbled`: the bytes are no text at all."""

    text: str
    encoding: str
    doubt: str = ""
    garbled: bool = False


def is_text(content: bytes) -> bool:
    sample = content[:_SAMPLE]
    if _marked(sample) is not None or _wide(sample) is not None:
        return True
    controls = len(sample) - len(sample.translate(None, _CONTROLS)) + 20 * max(0, sample.count(0) - 3)
    return controls <= _MOST_CONTROLS * len(sample)


def decode(content: bytes, declared: str | None = None) -> Decoded:
    """At most LONGEST_TEXT characters and those that follow in the same bytes. Never fails."""
    content = content[: limits.TEXT_BYTES]
    mark = _marked(content)
    if mark is not None:
        begin, encoding = mark
        return _decoded(content[len(begin) :], encoding)
    encoding = _wide(content[:_SAMPLE])
    if encoding is not None:
        return _decoded(content, encoding, f"it has no byte order mark; read as {encoding}")
    if _fits(content, "utf-8"):
        return _decoded(content, "utf-8")
    if declared and _normal(declared) not in (None, "utf-8", "ascii") and _fits(content, declared):
        return _decoded(content, declared)
    guessed = _guessed(content[:_SAMPLE])
    found = _decoded(content, guessed or "cp1252", f"it is not {declared or 'UTF-8'}; read as {guessed or 'cp1252'}")
    return found if guessed is not None else found._replace(garbled=_foreign(content[:_SAMPLE]) > _MOST_FOREIGN)


def _decoded(content: bytes, encoding: str, doubt: str = "") -> Decoded:
    text = codecs.getincrementaldecoder(encoding)("replace").decode(content, final=len(content) < limits.TEXT_BYTES)
    doubts = [doubt] if doubt else []
    if "\0" in text:
        doubts.append(f"{text.count(chr(0))} NUL characters were taken out")
    lost = text.count("\ufffd")
    if not doubt and lost:
        doubts.append(f"{lost} characters are no {encoding}")
    garbled = lost > _MOST_LOST * len(text)
    return Decoded(text.replace("\0", "").replace("\r\n", "\n"), encoding, "; ".join(doubts), garbled)


def _marked(content: bytes) -> tuple[bytes, str] | None:
    return next(((mark, encoding) for mark, encoding in _MARKS if content.startswith(mark)), None)


def _wide(sample: bytes) -> str | None:
    pairs = len(sample) // 2
    if pairs < 2:
        return None
    even, odd = sample[0::2].count(0) / pairs, sample[1::2].count(0) / pairs
    if odd >= _WIDE and even < _WIDE / 4:
        return "utf-16-le"
    return "utf-16-be" if even >= _WIDE and odd < _WIDE / 4 else None


def _fits(content: bytes, encoding: str) -> bool:
    try:
        codecs.getincrementaldecoder(encoding)().decode(content, final=len(content) < limits.TEXT_BYTES)
    except (UnicodeError, ValueError, LookupError):
        return False
    return True


def _normal(encoding: str) -> str | None:
    """None for what is unknown, and for codecs that do not make text."""
    try:
        found = codecs.lookup(encoding)
        return found.name if found._is_text_encoding else None  # pyright: ignore[reportPrivateUsage]
    except (LookupError, ValueError):
        return None


def _foreign(sample: bytes) -> float:
    return sum(each > 0x7F for each in sample) / max(1, len(sample))


def _guessed(sample: bytes) -> str | None:
    """None where every encoding makes nonsense of it."""
    from charset_normalizer import from_bytes

    best = from_bytes(sample).best()
    # Several say the same: then it is the one that most programs write.
    if best is None:
        return None
    return "cp1252" if "cp1252" in best.could_be_from_charset else best.encoding
