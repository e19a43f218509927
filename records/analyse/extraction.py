"""The fields of a schema in what a message says, by rules: as data, in tables, behind labels, and as the only entity
that is left for a field.

Of candidates for one field the surest is taken, of equally sure ones the first; where others say something else, it is
doubtful. A value that is not of the field's type is kept as it is written, for the quality check to say so.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from typing import Any, Final, NamedTuple

from domain.record import Found as Entity
from domain.record import Origin, Reading
from domain.schema import Field, FieldType, Value
from records.analyse.labels import Found, Labels, confidence
from records.analyse.tabular import cells_in
from records.analyse.values import as_text, is_nothing, parsed, same

_WRONG_TYPE: Final = 0.3
"""Confidence in what is kept although it is not of its field's type."""

_WEAK: Final = 0.8
"""In a value that only follows a label."""

_PART: Final = 0.6
_LEFT_OVER: Final = 0.5
_LONGEST_LINE: Final = 2_000
_MOST_LABELS: Final = 5_000
_LONGEST_DATA: Final = 1_000
_END_OF_TEXT: Final = re.compile(
    r"[;|\t]|[ \xa0]{3,}|(?<!\bDr)(?<!\bMr)(?<!\bMrs)(?<!\bSt)(?<!\bProf)(?<!\bMme)[.!?]\s+(?=[A-ZÀ-Þ¿¡])"
)
_BEFORE: Final = re.compile(r"(?:^|\n)[ \t*_#>-]*$")
"""A label at the beginning of its line."""

_TRAILING: Final = re.compile(r"(?:[\s,;.*_]|\s(?:and|et|und|y))+$")
_NAME: Final = re.compile(
    r"[A-ZÀ-Þ][\w'’.&-]*(?:[ ](?:(?:de|du|des|van|von|der|den|la|le|del|y|&)[ ])?[A-ZÀ-Þ][\w'’.&-]*){0,5}"
)
_PLAIN: Final[frozenset[FieldType]] = frozenset({"number", "integer", "amount", "date"})
"""Types whose values can hardly be anything else."""

_ENTITIES: Final[Mapping[FieldType, str]] = {
    "amount": "amount",
    "date": "date",
    "email": "email",
    "phone": "phone",
    "identifier": "identifier",
}


class Candidate(NamedTuple):
    value: Value
    origin: Origin
    confidence: float
    doubtful: str = ""


class Extractor:
    """For one version of a schema, or any fields. Safe for any number of threads."""

    def __init__(self, fields: Sequence[Field]) -> None:
        self.fields = tuple(fields)
        self._labels = Labels(self.fields)
        self._paths = {field.path: number for number, field in enumerate(self.fields)}

    def extract(
        self,
        text: str,
        data: Mapping[str, Any],
        tables: Sequence[Sequence[Sequence[str]]],
        entities: Sequence[Entity],
        language: str,
        own: int | None = None,
    ) -> dict[str, Reading]:
        """By path. `own`: characters of the text that are the message's own, what follows is of attachments."""
        found: list[list[Candidate]] = [[] for _ in self.fields]
        for number, raw in self._in_data(data):
            self._add(found, number, raw, "data", 1.0, language)
        for meant, cell, sure in cells_in(tables, self._labels.meant_by):
            self._add(found, meant.field, cell, "attachment", sure * confidence(meant, language), language)
        self._in_text(found, text, len(text) if own is None else own, language)
        readings = {
            field.path: _chosen(candidates) for field, candidates in zip(self.fields, found, strict=True) if candidates
        }
        return self._left_over(readings, entities, language)

    def _add(
        self, found: list[list[Candidate]], number: int, raw: Any, origin: Origin, sure: float, language: str
    ) -> None:
        candidate = _candidate(self.fields[number], raw, origin, sure, language)
        if candidate is not None:
            found[number].append(candidate)

    def _in_data(self, data: Mapping[str, Any]) -> Iterator[tuple[int, Any]]:
        """By path; else by the last segment or a label, where just one member is called so."""
        members = dict(_members(data))
        by_label: dict[int, list[Any]] = {}
        for path, raw in members.items():
            if path in self._paths:
                yield self._paths[path], raw
                continue
            for meant in {each.field for each in self._labels.meant_by(_spaced(path.rpartition(".")[2]))}:
                by_label.setdefault(meant, []).append(raw)
        for number, raws in by_label.items():
            if self.fields[number].path not in members and len(raws) == 1:
                yield number, raws[0]

    def _in_text(self, found: list[list[Candidate]], text: str, own: int, language: str) -> None:
        labels = list(islice(self._labels.find(text), _MOST_LABELS))
        for place, label in enumerate(labels):
            origin: Origin = "text" if label.begin < own else "attachment"
            raw = _raw(
                text, label, next((each for each in labels[place + 1 : place + 4] if each.begin >= label.value), None)
            )
            if not raw:
                continue
            for meant in {
                each.field: each for each in sorted(label.meant, key=lambda each: each.language == language)
            }.values():
                candidate = _behind(self.fields[meant.field], raw, label, origin, confidence(meant, language), language)
                if candidate is not None:
                    found[meant.field].append(candidate)

    def _left_over(self, readings: dict[str, Reading], entities: Sequence[Entity], language: str) -> dict[str, Reading]:
        """Where just one field of a kind is without a value, and just one entity of that kind is nobody's."""
        taken = {str(reading.value) for reading in readings.values()}
        for type, kind in _ENTITIES.items():
            missing = [field for field in self.fields if field.type == type and field.path not in readings]
            values = {each.value for each in entities if each.kind == kind}
            for field in missing:
                fits = {
                    value.value: value
                    for each in values
                    if (value := _fitting(field, each, language)) and str(value.value) not in taken
                }
                if len(fits) == 1 and (len(missing) == 1 or field.pattern):
                    (only,) = fits.values()
                    sure = type in ("email", "phone") or field.pattern is not None
                    why = only.doubtful or ("" if sure else "no label says that it is this one")
                    readings[field.path] = Reading(only.value, "entity", _LEFT_OVER, why)
        return self._currency(readings, entities)

    def _currency(self, readings: dict[str, Reading], entities: Sequence[Entity]) -> dict[str, Reading]:
        """The one that all sums of money are in."""
        codes = {each.value.rpartition(" ")[2] for each in entities if each.kind == "amount" and " " in each.value}
        for field in self.fields:
            if field.path.endswith("currency") and field.path not in readings and len(codes) == 1:
                readings[field.path] = Reading(*codes, origin="entity", confidence=_WEAK)
        return readings


def _candidate(field: Field, raw: Any, origin: Origin, sure: float, language: str) -> Candidate | None:
    if is_nothing(raw):
        return None
    value = parsed(field, raw, language)
    if value is not None:
        return Candidate(value.value, origin, sure, value.doubtful)
    written = as_text(raw)
    return Candidate(written, origin, _WRONG_TYPE) if written else None


def _raw(text: str, label: Found, following: Found | None) -> str:
    """What may be the value: the rest of the line up to the next label, or the next line."""
    reach = min(len(text), label.value + _LONGEST_LINE)
    end = text.find("\n", label.value, reach)
    end = reach if end < 0 else end
    if following is not None and following.begin < end:
        ended = text[label.value : following.begin].rstrip().endswith((",", ";"))
        end = following.begin if following.strong or ended else end
    raw = text[label.value : end].strip()
    starts_line = _BEFORE.search(text, max(0, label.begin - 40), label.begin)
    if raw or not (label.strong or starts_line) or end == len(text) or text[end] != "\n":
        return raw
    begin = end + len(text[end : end + 100]) - len(text[end : end + 100].lstrip())
    if following is not None and following.strong and following.begin <= begin + 3:
        return ""
    return text[begin : begin + _LONGEST_LINE].partition("\n")[0].strip()


def _behind(field: Field, raw: str, label: Found, origin: Origin, sure: float, language: str) -> Candidate | None:
    """The value behind a label."""
    why = "the label may be part of another one" if label.part else ""
    if label.part and (parsed(field, raw, language) is None or (label.further and field.type not in _PLAIN)):
        return None
    sure = min(sure, _PART) if label.part else sure
    if not label.strong:
        return _following(field, raw, origin, min(sure, _WEAK), why, language)
    if field.type == "text":
        ended = _END_OF_TEXT.search(raw)
        raw = _TRAILING.sub("", raw[: ended.start()] if ended else raw)
    candidate = _candidate(field, raw, origin, sure, language)
    return candidate and candidate._replace(doubtful=candidate.doubtful or why)


def _following(field: Field, raw: str, origin: Origin, sure: float, why: str, language: str) -> Candidate | None:
    """Without anything that says so, only what can hardly be anything else."""
    match field.type:
        case "text":
            name = _NAME.match(raw)
            why = why or "it only follows the label"
            return Candidate(name[0].rstrip(".,"), origin, min(sure, _PART), why) if name else None
        case "choice" | "boolean":
            return None
        case _:
            value = parsed(field, raw, language)
            is_one = value is not None and (field.type != "identifier" or any(map(str.isdigit, str(value.value))))
            return Candidate(value.value, origin, sure, value.doubtful or why) if value and is_one else None


def _chosen(candidates: Sequence[Candidate]) -> Reading:
    best = max(candidates, key=lambda each: each.confidence)
    sure = [each for each in candidates if each.confidence >= min(best.confidence, _WEAK)]
    other = next((each for each in sure if not same(each.value, best.value)), None)
    contradicted = f"elsewhere it is {as_text(other.value)[:100]!r}" if other is not None else ""
    return Reading(best.value, best.origin, round(best.confidence, 3), contradicted or best.doubtful)


def _fitting(field: Field, written: str, language: str) -> Candidate | None:
    """An entity's value, if it can be this field's."""
    value = parsed(field, written, language)
    if value is None or (field.pattern is not None and not _matches(field.pattern, str(value.value))):
        return None
    if isinstance(value.value, float):
        low, high = field.minimum, field.maximum
        if (low is not None and value.value < low) or (high is not None and value.value > high):
            return None
    return Candidate(value.value, "entity", _LEFT_OVER, value.doubtful)


def _matches(pattern: str, value: str) -> bool:
    try:
        return re.fullmatch(pattern, value) is not None
    except re.error:
        return False


def _members(data: Mapping[str, Any], prefix: str = "", depth: int = 0) -> Iterator[tuple[str, Any]]:
    """Single values by path."""
    for name, raw in list(data.items())[:_LONGEST_DATA]:
        if isinstance(raw, Mapping) and depth < 8:
            yield from _members(raw, f"{prefix}{name}.", depth + 1)  # pyright: ignore[reportUnknownArgumentType]
        elif isinstance(raw, list) and len(raw) == 1:  # pyright: ignore[reportUnknownArgumentType]
            yield f"{prefix}{name}", raw[0]
        else:
            yield f"{prefix}{name}", raw


def _spaced(name: str) -> str:
    """invoiceNumber as two words."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", name)
