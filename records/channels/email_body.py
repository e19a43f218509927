"""What a mail says: HTML turned into text, and an answer without what it answers.

The rules look at lines one at a time, so that they take time in proportion to the text, whatever a stranger sends;
libraries for this search with patterns that take minutes for a mail of 60 kB (mail-parser-reply 1.36 was tried).
"""

from __future__ import annotations

import re
from importlib import import_module
from typing import Any, Final

_BLOCKS: Final = frozenset(
    str.split(
        "address article aside blockquote body br center dd div dl dt fieldset figure footer form h1 h2 h3 h4 h5 h6 "
        "header hr li main nav ol p pre section table tr ul"
    )
)
_CELLS: Final = frozenset(("td", "th"))
_HIDDEN: Final = frozenset(("head", "script", "style", "template", "title", "noscript"))
_LONGEST_HTML: Final = 5_000_000
_BREAK, _CELL, _QUOTE, _END_OF_QUOTE = "\x1e", "\x1f", "\x1c", "\x1d"
_MARKS: Final = str.maketrans("", "", _BREAK + _CELL + _QUOTE + _END_OF_QUOTE)

_WROTE: Final = re.compile(
    r"\b(?:wrote|a écrit|écrivait|schrieb|escribió|ha scritto|escreveu|schreef|skrev|napisał)",
    re.IGNORECASE,
)
_WHEN_OR_WHO: Final = re.compile(r"\d:\d\d|\d h \d\d|\b\d{4}\b|[^\s@<>]@")
_OPENING: Final = re.compile(
    r"^(?:On|Le|Am|El|Il|Em|Op|Den|W dniu|Dnia)\b|^\d{4}-\d\d|^[^\s@<>]+@|<[^\s@<>]+@[^\s@<>]+>"
)
_FORWARDED: Final = re.compile(
    r"^-{2,}\s*(?:original message|message d'origine|message original|ursprüngliche nachricht|mensaje original|"
    r"messaggio originale|mensagem original|oorspronkelijk bericht|forwarded message|message transféré)\s*-{2,}\s*$",
    re.IGNORECASE,
)
_FROM: Final = re.compile(r"^\*?(?:From|De|Von|Da|Van)\s?:\*?\s*\S", re.IGNORECASE)
_SENT: Final = re.compile(
    r"^\*?(?:Sent|Date|Envoyé|Gesendet|Datum|Enviado(?: el)?|Fecha|Inviato|Data|Verzonden|To|À|An|Para|A|Aan)\s?:\*?",
    re.IGNORECASE,
)
_PHONE: Final = re.compile(
    r"^(?:Sent from my|Sent from Outlook|Get Outlook for|Envoyé de mon|Envoyé depuis|Von meinem .{1,40} gesendet|"
    r"Gesendet von|Enviado desde mi|Inviato da)\b",
    re.IGNORECASE,
)


class _Text:
    """A target of lxml's parser: text with marks where lines, cells and quotations begin and end."""

    def __init__(self) -> None:
        self._found: list[str] = []
        self._hidden = 0

    def start(self, tag: str, attributes: dict[str, str]) -> None:
        if tag in _HIDDEN:
            self._hidden += 1
        elif tag in _CELLS:
            self._found.append(_CELL)
        elif tag in _BLOCKS:
            self._found.append(_BREAK + (_QUOTE if tag == "blockquote" else ""))

    def end(self, tag: str) -> None:
        if tag in _HIDDEN:
            self._hidden = max(0, self._hidden - 1)
        elif tag in _BLOCKS and tag != "br":
            self._found.append((_END_OF_QUOTE if tag == "blockquote" else "") + _BREAK)

    def data(self, data: str) -> None:
        if not self._hidden:
            self._found.append(data.translate(_MARKS))

    def close(self) -> str:
        return "".join(self._found)


def text_of_html(html: str) -> str:
    """Lines of blocks, cells apart by tabs, quotations behind `>` as in a plain mail."""
    html = html.translate(_MARKS).replace("\x00", "")[:_LONGEST_HTML]
    if not html.strip():
        return ""
    etree: Any = import_module("lxml.etree")
    parser = etree.HTMLParser(target=_Text(), encoding="utf-8")
    try:
        marked: str = etree.fromstring(html.encode("utf-8", "replace"), parser)
    except etree.LxmlError:
        return ""
    lines: list[str] = []
    depth = 0
    for piece in marked.split(_BREAK):
        depth += piece.count(_QUOTE)
        line = re.sub(r"[^\S\x1f]+", " ", piece.replace(_QUOTE, "").replace(_END_OF_QUOTE, ""))
        line = "\t".join(cell.strip() for cell in line.split(_CELL)).strip()
        if line:
            lines.append("> " + line if depth > 0 else line)
        depth -= piece.count(_END_OF_QUOTE)
    return "\n".join(lines)


def own_words(text: str) -> str:
    """An answer without the history below it, without quoted lines between its own, and without the signature.

    When nothing would be left, everything is: then somebody wrote into the quotation.
    """
    lines = text.replace("\r\n", "\n").split("\n")
    kept: list[str] = []
    for at, line in enumerate(lines):
        if _begins_history(lines, at):
            break
        if not line.startswith(">"):
            kept.append(line)
    said = "\n".join(kept[: _signature(kept)]).strip()
    return said or text.strip()


def _begins_history(lines: list[str], at: int) -> bool:
    line = lines[at].strip()
    if len(line) > 1_000:
        return False
    if _FORWARDED.match(line):
        return True
    if _FROM.match(line) and any(_SENT.match(next.strip()[:100]) for next in lines[at + 1 : at + 4]):
        return True
    return _introduces(line) or _introduces_over_two(lines, at)


def _introduces(line: str) -> bool:
    """`On Mon, 16 Nov 2026, Ann <a@b.c> wrote:`, `Am 16.11.2026 um 10:12 schrieb Ann:`"""
    wrote = line.endswith(":") and _WROTE.search(line) is not None
    return wrote and _OPENING.search(line) is not None and _WHEN_OR_WHO.search(line) is not None


def _introduces_over_two(lines: list[str], at: int) -> bool:
    """The same, broken in two by a client that wraps lines; then what is quoted follows."""
    if at + 1 >= len(lines) or len(lines[at + 1]) > 1_000:
        return False
    after = next((line for line in lines[at + 2 : at + 5] if line.strip()), "")
    return after.startswith(">") and _introduces(f"{lines[at].strip()} {lines[at + 1].strip()}")


def _signature(lines: list[str]) -> int:
    """Where it begins: after `-- ` (RFC 3676, 4.3), or with the line that a telephone adds."""
    for at, line in enumerate(lines):
        if line in ("-- ", "--", "--\xa0") or _PHONE.match(line.strip()[:200]):
            return at
    return len(lines)
