"""From the JSON of a model's features to rows in their order. The quick way takes what is as it should be; the slow one
takes what files take too (`true` is 1, a number may name a category), and says of the rest all that is wrong with it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from math import isfinite
from typing import Annotated, Any, Final, NamedTuple, TypeAlias, cast

import msgspec
from msgspec import Meta

from domain.pipeline import ColumnType, Feature, Value
from models.data.cells import LONGEST, as_text, is_unicode

MAX_ROWS: Final = 10_000
"""Of one request."""

_NAMED: Final = 100
"""Faults that are named; of the others only their number is."""

_Number: TypeAlias = float | None
_Category: TypeAlias = Annotated[str, Meta(min_length=1, max_length=LONGEST)] | None
_TYPES: Final[dict[ColumnType, Any]] = {"number": _Number, "category": _Category, "text": _Category}
_GIVE_NULL: Final = "give null for a value that is not known"

Row = list[Value]


class RowFault(NamedTuple):
    """`where` is a JSON pointer (RFC 6901)."""

    where: str
    what: str


class RowsInvalid(Exception):
    """These are no rows of the model; every fault at once."""

    def __init__(self, faults: Sequence[RowFault]) -> None:
        super().__init__("; ".join(f"{where}: {what}" for where, what in faults))
        self.faults = tuple(faults)


class RowReader:
    """For the features of one model."""

    def __init__(self, features: Sequence[Feature]) -> None:
        self._features: dict[str, ColumnType] = {feature.name: feature.type for feature in features}
        fields = [(f"f{number}", _TYPES[feature.type]) for number, feature in enumerate(features)]
        names = {f"f{number}": feature.name for number, feature in enumerate(features)}
        struct = msgspec.defstruct("Features", fields, rename=names, forbid_unknown_fields=True, gc=False)
        self._one = msgspec.json.Decoder(struct).decode
        self._many = msgspec.json.Decoder(Annotated[list[struct], Meta(min_length=1, max_length=MAX_ROWS)]).decode

    def one(self, raw: bytes | msgspec.Raw) -> list[Row]:
        """Raises msgspec.DecodeError for what needs the slow way."""
        return [list(msgspec.structs.astuple(self._one(raw)))]

    def many(self, raw: bytes | msgspec.Raw) -> list[Row]:
        """Of a JSON array. Raises msgspec.DecodeError for what needs the slow way."""
        return [list(msgspec.structs.astuple(found)) for found in self._many(raw)]

    def one_of(self, features: object, where: str) -> list[Row]:
        """The same of a document that Python's `json` has read. Raises RowsInvalid."""
        return self._checked([(where, features)])

    def many_of(self, instances: object, where: str) -> list[Row]:
        """Raises RowsInvalid."""
        if not isinstance(instances, list) or not 1 <= len(cast(list[Any], instances)) <= MAX_ROWS:
            raise RowsInvalid([RowFault(where, f"must be a list of 1 to {MAX_ROWS} objects")])
        return self._checked([(f"{where}/{place}", each) for place, each in enumerate(cast(list[Any], instances))])

    def _checked(self, found: Sequence[tuple[str, Any]]) -> list[Row]:
        every = (fault for where, document in found for fault in self._faults(document, where))
        faults = list(islice(every, _NAMED + 1))
        if len(faults) > _NAMED:
            faults[_NAMED:] = [RowFault("", "and more")]
        if faults:
            raise RowsInvalid(faults)
        return [[_value(row[name], kind) for name, kind in self._features.items()] for _, row in found]

    def _faults(self, document: Any, where: str) -> Iterator[RowFault]:
        if not isinstance(document, dict):
            yield RowFault(where, "must be an object with a member for each feature")
            return
        row = cast(Mapping[str, Any], document)
        for name in row.keys() - self._features.keys():
            yield RowFault(pointer(where, name), "the model has no such feature")
        for name, kind in self._features.items():
            what = _fault(row[name], kind) if name in row else f"is missing: {_GIVE_NULL}"
            if what:
                yield RowFault(pointer(where, name), what)


def _fault(value: Any, kind: ColumnType) -> str | None:
    match value, kind:
        case None, _:
            return None
        case ((bool() | int() | float()), _):
            return None if _is_finite(value) else f"is not finite: {_GIVE_NULL}"
        case str(), ("category" | "text"):
            return _text_fault(value)
        case _, "number":
            return "must be a number, or null"
        case _, ("category" | "text"):
            return "must be text, or null"


def _is_finite(value: float) -> bool:
    try:
        return isfinite(value)
    except OverflowError:
        return False


def _text_fault(text: str) -> str | None:
    if len(text) > LONGEST:
        return f"has more than {LONGEST} characters"
    if "\0" in text:
        return "must not contain NUL"
    return None if is_unicode(text) else "half a surrogate pair is no character"


def _value(value: bool | float | str | None, kind: ColumnType) -> Value:
    """As data files are read."""
    match value, kind:
        case ((None | ""), _):
            return None
        case ((bool() | int() | float()), "number"):
            return float(value)
        case _:
            return as_text(value)


def pointer(where: str, name: str) -> str:
    """`where` with one more token, however the name is written."""
    shown = name[:200].encode(errors="replace").decode().replace("\0", "�")
    return f"{where}/{shown.replace('~', '~0').replace('/', '~1')}"
