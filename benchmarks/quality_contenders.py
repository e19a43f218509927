"""Who says what is missing and wrong: ours, a model of pydantic as one usually writes it, and dummies."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import date
from typing import Annotated, Any, Final, Literal, NamedTuple

from pydantic import BaseModel, BeforeValidator, ConfigDict, ValidationError, create_model
from pydantic import Field as Bounds

from benchmarks.quality_faults import Flagged, Message
from benchmarks.quality_rows import SENT_ON
from domain.flag import FlagKind
from domain.quality import Check, compiled
from domain.schema import Field, FieldType, Schema


class Answer(NamedTuple):
    """`shares`: score, completeness and validity, where there are any."""

    missing: set[str]
    flags: set[Flagged]
    asked: set[str]
    shares: tuple[float, float, float] | None


Contender = Callable[[Message], Answer]
OURS: Final = "Sagacity"

_checks: Final[dict[str, Check]] = {}


def check_of(schema: Schema) -> Check:
    if schema.name not in _checks:
        _checks[schema.name] = compiled(schema, 1)
    return _checks[schema.name]


def _ours(message: Message) -> Answer:
    found = check_of(message.schema).assess(
        message.readings, message.refused, SENT_ON, message.flags, message.late, message.duplicate_of
    )
    flags: set[Flagged] = {(flag.kind, flag.path) for flag in found.flags}
    shares = (found.score, found.completeness, found.validity)
    return Answer(set(found.missing), flags, set(found.root_gaps), shares)


_TYPES: Final[dict[FieldType, Any]] = {"number": float, "amount": float, "boolean": bool, "identifier": str}


def _blank_is_none(value: Any) -> Any:
    return None if isinstance(value, str) and not value.strip() else value


def _annotation(field: Field) -> Any:
    kind: Any = _TYPES.get(field.type)
    if field.type == "choice":
        kind = Literal[field.choices]
    elif field.type == "date":
        kind = Annotated[date, Bounds(strict=False)]
    elif field.type == "number":
        kind = Annotated[float, Bounds(ge=field.minimum, le=field.maximum)]
    return Annotated[kind | None if field.applies_when else kind, BeforeValidator(_blank_is_none)]


_models: Final[dict[str, type[BaseModel]]] = {}


def model_of(schema: Schema) -> type[BaseModel]:
    """What applies only sometimes is optional; of rules it knows nothing."""
    if schema.name not in _models:
        fields = [(field.path, _annotation(field), not field.applies_when) for field in schema.fields]
        named: dict[str, Any] = {path: (kind, ... if required else None) for path, kind, required in fields}
        _models[schema.name] = create_model(schema.name, __config__=ConfigDict(strict=True), **named)
    return _models[schema.name]


_RANGES: Final = ("greater_than_equal", "less_than_equal", "literal_error")


def _flagged(kind: str, path: str) -> Flagged:
    return ("out_of_range", path) if kind in _RANGES else ("wrong_type", path)


def _by_model(message: Message) -> Answer:
    values = {path: reading.value for path, reading in message.readings.items()}
    try:
        model_of(message.schema).model_validate(values)
    except ValidationError as refused:
        faults = [(str(error["loc"][0]), error["type"], error["input"]) for error in refused.errors()]
    else:
        faults = []
    missing = {path for path, kind, given in faults if kind == "missing" or given is None or not str(given).strip()}
    wrong = {(path, kind) for path, kind, _ in faults if path not in missing}
    flags = set[Flagged](_flagged(kind, path) for path, kind in wrong)
    return Answer(missing, flags, missing | {path for path, _ in wrong}, None)


_OF_FIELDS: Final[tuple[FlagKind, ...]] = (
    "wrong_type",
    "out_of_range",
    "contradictory",
    "doubtful",
    "unreadable",
    "refused",
)


def _always(message: Message) -> Answer:
    paths = {field.path for field in message.schema.fields}
    flags = set[Flagged]((kind, path) for kind in _OF_FIELDS for path in paths)
    flags |= {("late", None), ("duplicate", None)}
    return Answer(paths, flags, paths, (0.0, 0.0, 0.0))


def _never(message: Message) -> Answer:
    return Answer(set(), set(), set(), (1.0, 1.0, 1.0))


CONTENDERS: Final[Mapping[str, Contender]] = {
    OURS: _ours,
    "a pydantic model": _by_model,
    "always": _always,
    "never": _never,
}
