"""Words that stand before a value, found in a text: a look at each of its words, however many labels there are."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

from domain.schema import Field
from records.analyse.values import plain

_WORD: Final = re.compile(r"[^\W_]+")
_GAP: Final = re.compile(r"[^\w\n]{1,3}")
_SEPARATOR: Final = re.compile(r"(?:[ \t\xa0.:=#–—|*_>]|-(?=[\s:])|\([^()\n:]{0,30}\))*")
_STRONG: Final = re.compile(r"[:=#|\t–—-]|\.{3}|[ \xa0]{2}")
_FURTHER: Final = re.compile(r"(?:[ ][^\W\d_]{1,15}){1,2}[ ]?:[ \t]*")
"""More words of a label than are known, such as `due` in `Total due:`."""

_BEFORE: Final = re.compile(r"([^\W_]+)[ \xa0]$")
_ARTICLES: Final = frozenset(
    _WORD.findall(
        "the a an your our my his her this and with is le la les l un une votre notre mon ma et"
        " der die das ein eine den dem ihr ihre unser mein und el los las su nuestro mi y con was were been by at on of"
        " for to from in as est a par au du de des en wurde war am vom zum von bei fue era por del al"
    )
)
SURE: Final = 0.95
_OTHER_LANGUAGE: Final = 0.9
_IMPLIED: Final = 0.85
"""The name of a field itself, where no label says so."""

Words = tuple[str, ...]


class Meant(NamedTuple):
    """`language` is None for the name of the field itself."""

    field: int
    language: str | None


class Found(NamedTuple):
    """A label in a text: its value begins at `value`. `strong`: something says that a value follows; `part`: a word
    before it may make it the label of something else; `further`: words behind it may."""

    begin: int
    value: int
    meant: Sequence[Meant]
    strong: bool
    part: bool
    further: bool = False


class Labels:
    def __init__(self, fields: Sequence[Field]) -> None:
        self._known: dict[Words, list[Meant]] = {}
        for number, field in enumerate(fields):
            for language, labels in field.labels.items():
                for label in labels:
                    self._add(words_of(label), Meant(number, language))
        for words, number in implied(fields).items():
            if words not in self._known:
                self._add(words, Meant(number, None))
        self._longest: dict[str, int] = {}
        for words in self._known:
            self._longest[words[0]] = max(len(words), self._longest.get(words[0], 0))

    def _add(self, words: Words, meant: Meant) -> None:
        known = self._known.setdefault(words, []) if words else []
        if meant not in known:
            known.append(meant)

    def meant_by(self, text: str) -> Sequence[Meant]:
        """By a text that is nothing but a label."""
        return self._known.get(words_of(text), ())

    def find(self, text: str) -> Iterator[Found]:
        """In the order of the text; of labels within labels the longest."""
        words = list(_WORD.finditer(text))
        place = 0
        while place < len(words):
            first = plain(words[place][0])
            longest = self._longest.get(first)
            count = self._match(text, words, place, first, longest) if longest else 0
            if count:
                yield self._found(text, words, place, count)
            place += count or 1

    def _match(self, text: str, words: Sequence[re.Match[str]], place: int, first: str, longest: int) -> int:
        """How many words the longest label here has."""
        said = [first]
        best = 1 if (first,) in self._known else 0
        for number in range(place + 1, min(place + longest, len(words))):
            if not _GAP.fullmatch(text, words[number - 1].end(), words[number].start()):
                break
            said.append(plain(words[number][0]))
            if tuple(said) in self._known:
                best = len(said)
        return best

    def _found(self, text: str, words: Sequence[re.Match[str]], place: int, count: int) -> Found:
        begin, end = words[place].start(), words[place + count - 1].end()
        meant = self._known[tuple(plain(word[0]) for word in words[place : place + count])]
        separator = _SEPARATOR.match(text, end)
        value = separator.end() if separator else end
        further = None if _STRONG.search(text, end, value) else _FURTHER.match(text, end)
        if further is not None:
            return Found(begin, further.end(), meant, True, True, True)
        before = _BEFORE.search(text, max(0, begin - 40), begin)
        part = before is not None and plain(before[1]) not in _ARTICLES
        return Found(begin, value, meant, bool(_STRONG.search(text, end, value)), part)


def words_of(text: str) -> Words:
    return tuple(plain(word) for word in _WORD.findall(text[:200]))


def implied(fields: Sequence[Field]) -> dict[Words, int]:
    """Whole paths and their last segments, as far as these are one field's alone."""
    found: dict[Words, int] = {}
    twice: set[Words] = set()
    for number, field in enumerate(fields):
        for words in {words_of(field.path), words_of(field.path.rpartition(".")[2])}:
            if found.setdefault(words, number) != number:
                twice.add(words)
    return {words: number for words, number in found.items() if words not in twice}


def confidence(meant: Meant, language: str) -> float:
    if meant.language is None:
        return _IMPLIED
    return SURE if meant.language == language else _OTHER_LANGUAGE
