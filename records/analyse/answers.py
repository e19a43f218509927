"""A reply to a question for some fields: labelled values, a numbered list, or with one field all that is said.

Lists are numbered as the question was: fields in the order in which they were asked for, from 1.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple

from domain.schema import Field, Value
from records.analyse.extraction import Extractor
from records.analyse.values import as_text, is_nothing, parsed, plain

_QUOTED: Final = re.compile(
    r"^\s*(?:-{2,}\s*original|_{10,}|-- ?$"
    r"|(?:on|le|am|el)\b.{0,200}\b(?:wrote|a écrit|schrieb|escribió)\b.{0,80}:\s*$)",
    re.IGNORECASE,
)
_ITEM: Final = re.compile(r"^\s*[(#]?(\d{1,2})\s?(?:[.)\]:]|\s-|-\s)\s*(.*)$")
_LONGEST_REFUSAL: Final = 160
_TELL_DE: Final = "(?:es |das |dazu )?(?:nichts?|nicht) (?:sagen|angeben|mitteilen|nennen)"
_REFUSALS: Final = re.compile(
    r"\b(?:"
    + "|".join(
        (
            r"(?:do not|don ?'?t|dont) (?:know|have (?:it|that|this|one)|want to (?:say|tell))|no idea|not applicable",
            r"(?:will not|won ?'?t|wont|cannot|can ?'?t|rather not|prefer not to) (?:say|tell|answer|give|share)",
            r"prefer not|none of your business|n/a|confidential",
            r"ne (?:sais|savons|connais|veux|peux|voulons|pouvons|souhaite|souhaitons) pas|j'?ignore|aucune idee",
            r"sans objet|non applicable|ne s'?applique pas|prefere ne pas|je refuse|confidentiel",
            r"weiss (?:ich|es|das) (?:leider )?nicht|wissen wir (?:leider )?nicht|(?:trifft )?nicht zu(?:treffend)?",
            r"(?:ich weiss|wir wissen) (?:es |das )?(?:leider )?nicht|keine ahnung|keine angaben?|k\. ?a\.",
            rf"(?:mochte|mochten|will|wollen|kann|konnen) (?:(?:ich|wir) )?{_TELL_DE}",
            r"entfallt|nicht anwendbar|vertraulich",
            r"no (?:lo |la )?(?:se|sabemos|conozco)\b|ni idea|no (?:aplica|procede|corresponde)|me niego",
            r"prefiero no|no (?:quiero|puedo|queremos|podemos) (?:decir|dar|contestar|responder)\w*",
        )
    )
    + r")(?!\w)"
)


class Answer(NamedTuple):
    """`refused` are paths that the sender will say nothing about."""

    values: dict[str, Value]
    refused: tuple[str, ...]


def read_answer(text: str, data: Mapping[str, Any], gaps: Sequence[Field], language: str) -> Answer:
    """What is not of its field's type is kept as it is written. Neither values nor refusals: it is no answer."""
    if not gaps:
        return Answer({}, ())
    said = _own(text)
    values: dict[str, Value] = {}
    refused: dict[str, None] = {}
    for field, item in _numbered(said, gaps):
        _take(field, item, language, values, refused)
    labelled = Extractor(gaps).extract(said if not values and not refused else "", data, (), (), language)
    for path, reading in labelled.items():
        if reading.origin == "data" or path not in values:
            _keep(path, reading.value, values, refused)
    if not values and not refused:
        _unlabelled(said, gaps, language, values, refused)
    elif not any(True for _ in _numbered(said, gaps)):
        refused |= dict.fromkeys(_refused_beside(said, gaps, values))
    return Answer(values, tuple(path for path in refused if path not in values))


def _own(text: str) -> str:
    """Without what is quoted of the question."""
    lines: list[str] = []
    for line in text[:20_000].splitlines():
        if _QUOTED.match(line):
            break
        if not line.lstrip().startswith(">"):
            lines.append(line)
    return "\n".join(lines).strip()


def _numbered(text: str, gaps: Sequence[Field]) -> Iterator[tuple[Field, str]]:
    """An item goes on until the next one. A list of one item answers more than one question only if it says which."""
    items: dict[int, list[str]] = {}
    current: int | None = None
    for line in text.splitlines():
        found = _ITEM.match(line)
        if found and 1 <= int(found[1]) <= len(gaps) and int(found[1]) not in items and _goes_on(items, int(found[1])):
            current = int(found[1])
            items[current] = [found[2]]
        elif current is not None and line.strip():
            items[current].append(line)
    for number, lines in items.items():
        item = "\n".join(lines).strip()
        if item:
            yield gaps[number - 1], item


def _goes_on(items: Mapping[int, Any], number: int) -> bool:
    return not items or number > max(items)


def _take(field: Field, item: str, language: str, values: dict[str, Value], refused: dict[str, None]) -> None:
    """`item` is about this field alone."""
    if is_refusal(item):
        refused[field.path] = None
        return
    labelled = Extractor([field]).extract(item, {}, (), (), language).get(field.path)
    value = labelled.value if labelled is not None and not labelled.doubtful else _alone(field, item, language)
    if not is_nothing(value):
        values[field.path] = value


def _keep(path: str, value: Value, values: dict[str, Value], refused: dict[str, None]) -> None:
    if isinstance(value, str) and is_refusal(value):
        refused[path] = None
    else:
        values[path] = value


def _alone(field: Field, said: str, language: str) -> Value:
    """In a text that is about one field: at its beginning, else the first place where a value of its type is."""
    found = parsed(field, said, language)
    if found is not None or field.type == "text":
        return found.value if found else None
    for word in re.finditer(r"(?<=[\s:=(])\S", said[:1_000]):
        found = parsed(field, said[word.start() :], language)
        if found is not None:
            return found.value
    return as_text(said)


def _unlabelled(
    said: str, gaps: Sequence[Field], language: str, values: dict[str, Value], refused: dict[str, None]
) -> None:
    if is_refusal(said):
        refused.update(dict.fromkeys(_named(said, gaps) or [field.path for field in gaps]))
    elif len(gaps) == 1 and not is_nothing(said):
        _take(gaps[0], said, language, values, refused)


def _refused_beside(said: str, gaps: Sequence[Field], values: Mapping[str, Value]) -> list[str]:
    """In a reply that says something else, too: what the refusal names, or the only field that is left."""
    sentences = [each for each in re.split(r"(?<=[.!?;])\s+|\n", said) if is_refusal(each)]
    if not sentences:
        return []
    left = [field for field in gaps if field.path not in values]
    return _named(" ".join(sentences), left) or ([left[0].path] if len(left) == 1 else [])


def _named(said: str, gaps: Sequence[Field]) -> list[str]:
    from records.analyse.labels import Labels

    meant = {each.field for found in Labels(gaps).find(said) for each in found.meant}
    return [gaps[number].path for number in sorted(meant)]


def is_refusal(said: str) -> bool:
    """Whether a short text says that something will not be said."""
    text = plain(said.strip().replace("’", "'"))
    return len(text) <= _LONGEST_REFUSAL and _REFUSALS.search(text) is not None
