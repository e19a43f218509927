"""From a pydantic model, and the words for its fields, to a schema.

What a model says: the type of a field, `ge`, `le` and `pattern`, a Literal's choices, models within as paths. What it
cannot say is in `Asked`. A field without a default is required, and one that only applies sometimes, unless
`Asked(optional=True)`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Annotated, Any, Final, Literal, get_args, get_origin

from annotated_types import Ge, Le
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from domain.schema import Condition, Field, FieldType, Rule, Schema

Words = Mapping[str, Sequence[str]]
"""By language: the question, then the labels that may stand before the value."""


@dataclass(frozen=True)
class Asked:
    """`when` and `follows` name others by their whole paths; `oldest` and `newest` are as in `domain.schema.Field`."""

    type: FieldType | None = None
    weight: float = 1.0
    when: tuple[Condition, ...] = ()
    follows: tuple[str, ...] = ()
    oldest: float | None = None
    newest: float | None = None
    optional: bool = False
    called: tuple[tuple[str, tuple[str, ...]], ...] = ()


Amount = Annotated[float, Asked(type="amount")]
Identifier = Annotated[str, Asked(type="identifier")]
Phone = Annotated[str, Asked(type="phone")]

_TYPES: Final[dict[Any, FieldType]] = {str: "text", float: "number", int: "integer", bool: "boolean", date: "date"}
_PLAIN: Final = Asked()


def schema_of(name: str, model: type[BaseModel], words: Mapping[str, Words], rules: Sequence[Rule] = ()) -> Schema:
    """Raises TypeError for a field of a type that no schema knows, ValueError when the words are not those of the
    model's fields."""
    fields = tuple(_fields(model, "", words))
    paths = {field.path for field in fields}
    if paths != set(words):
        raise ValueError(
            f"{name}: words are missing, or too many: {', '.join(sorted(paths.symmetric_difference(words)))}"
        )
    return Schema(name, fields, tuple(rules), (model.__doc__ or "").strip())


def _fields(model: type[BaseModel], prefix: str, words: Mapping[str, Words]) -> Iterator[Field]:
    for name, info in model.model_fields.items():
        path = f"{prefix}{name}"
        if isinstance(info.annotation, type) and issubclass(info.annotation, BaseModel):
            yield from _fields(info.annotation, f"{path}.", words)
        else:
            yield _field(path, info, words.get(path, {}))


def _field(path: str, info: FieldInfo, words: Words) -> Field:
    annotation, metadata = _unwrapped(info.annotation)
    found = [each for each in (*metadata, *info.metadata) if isinstance(each, Asked)]
    asked = found[-1] if found else _PLAIN
    choices = get_args(annotation) if get_origin(annotation) is Literal else ()
    kinds: list[FieldType] = [each.type for each in found if each.type is not None]
    return Field(
        path,
        kinds[-1] if kinds else _type(path, annotation),
        required=not asked.optional and (info.is_required() or bool(asked.when)),
        weight=asked.weight,
        applies_when=asked.when,
        follows=asked.follows,
        minimum=next((_number(each.ge) for each in info.metadata if isinstance(each, Ge)), None),
        maximum=next((_number(each.le) for each in info.metadata if isinstance(each, Le)), None),
        pattern=next((each.pattern for each in info.metadata if getattr(each, "pattern", None)), None),
        choices=choices,
        called=dict(asked.called),
        oldest=asked.oldest,
        newest=asked.newest,
        labels={language: tuple(labels) for language, (_, *labels) in words.items()},
        questions={language: question for language, (question, *_) in words.items()},
    )


def _unwrapped(annotation: Any) -> tuple[Any, tuple[Any, ...]]:
    """Without `| None` and `Annotated`."""
    options = [each for each in get_args(annotation) if each is not type(None)]
    if type(None) in get_args(annotation) and len(options) == 1:
        return _unwrapped(options[0])
    if get_origin(annotation) is Annotated:
        return options[0], tuple(options[1:])
    return annotation, ()


def _type(path: str, annotation: Any) -> FieldType:
    if get_origin(annotation) is Literal:
        return "choice"
    if annotation not in _TYPES:
        raise TypeError(f"{path}: no schema knows {annotation}")
    return _TYPES[annotation]


def _number(bound: Any) -> float:
    return float(bound)
