"""Why no record could be held to a schema, or none could ever be complete."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from datetime import date
from graphlib import CycleError, TopologicalSorter
from typing import Final

from domain.quality_values import NUMBERS, TEXTS, checker
from domain.schema import Condition, Field, FieldType, Rule, Schema

_KINDS: Final[dict[FieldType, str]] = {
    **dict.fromkeys(NUMBERS, "numbers"),
    **dict.fromkeys(TEXTS, "texts"),
    "choice": "texts",
    "date": "dates",
    "boolean": "booleans",
}
"""What can be compared with each other."""

_ANY_DAY: Final = date(2000, 1, 1)


def schema_faults(schema: Schema) -> list[str]:
    """All of them."""
    fields = {field.path: field for field in schema.fields}
    counted = Counter(field.path for field in schema.fields)
    return [
        *(f"{path} is there {count} times" for path, count in counted.items() if count > 1),
        *(f"{field.path}: {fault}" for field in schema.fields for fault in _bounds(field)),
        *(f"{field.path}: {fault}" for field in schema.fields for fault in _bonds(field, fields)),
        *(
            f"the rule {rule.kind} of {', '.join(rule.paths)}: {fault}"
            for rule in schema.rules
            for fault in _rule(rule, fields)
        ),
        *_circles(fields),
    ]


def _bounds(field: Field) -> Iterator[str]:
    """What is wrong with a field by itself."""
    if field.type not in NUMBERS:
        yield from (f"{name} is of numbers" for name in ("minimum", "maximum") if getattr(field, name) is not None)
    if field.type != "date":
        yield from (f"{name} is of dates" for name in ("oldest", "newest") if getattr(field, name) is not None)
    if field.minimum is not None and field.maximum is not None and field.minimum > field.maximum:
        yield "the minimum is above the maximum"
    if field.oldest is not None and field.newest is not None and field.oldest > field.newest:
        yield "the oldest is after the newest"
    if (field.type == "choice") != bool(field.choices):
        yield "a choice needs choices" if field.type == "choice" else "choices are of the type choice"
    if len(set(field.choices)) < len(field.choices):
        yield "a choice is there twice"
    yield from (
        f"{name!r} is no choice that could be called something" for name in field.called.keys() - {*field.choices}
    )
    if field.pattern is not None:
        yield from _pattern(field)


def _pattern(field: Field) -> Iterator[str]:
    if field.type not in TEXTS:
        yield "a pattern is of texts"
        return
    try:
        checker(field)
    except ValueError as error:
        yield f"pattern: {error}"


def _bonds(field: Field, fields: Mapping[str, Field]) -> Iterator[str]:
    """What is wrong between a field and others."""
    for condition in field.applies_when:
        decider = fields.get(condition.path)
        if decider is None:
            yield f"applies_when names {condition.path}, which is no field"
        else:
            yield from _never(condition, decider)
    for path in field.follows:
        followed = fields.get(path)
        if followed is None:
            yield f"follows names {path}, which is no field"
        elif field.required and not _is_there(followed, field):
            yield f"it is required, but follows {path}, which may be absent: say applies_when {path} is there"


def _never(condition: Condition, decider: Field) -> Iterator[str]:
    if list(_bounds(decider)):
        return
    check = checker(decider)
    for value in condition.values:
        if check(value, _ANY_DAY) is not None and decider.type != "date":
            yield f"applies_when: {decider.path} is never {value!r}"


def _is_there(followed: Field, field: Field) -> bool:
    """Whenever `field` applies, `followed` is at least asked for."""
    conditions = {each.path for each in field.applies_when}
    if followed.path in conditions:
        return True
    return followed.required and set(followed.applies_when) <= set(field.applies_when)


def _rule(rule: Rule, fields: Mapping[str, Field]) -> Iterator[str]:
    unknown = [path for path in rule.paths if path not in fields]
    yield from (f"{path} is no field" for path in unknown)
    if len(set(rule.paths)) < len(rule.paths):
        yield "a field is there twice"
    kinds = {_KINDS[fields[path].type] for path in rule.paths if path in fields}
    match rule.kind:
        case "sum" | "product":
            if kinds - {"numbers"}:
                yield "only numbers can be reckoned with"
        case "order":
            if len(kinds) > 1 or kinds - {"numbers", "dates"}:
                yield "only numbers have an order, or dates"
        case "equal" | "different":
            if len(kinds) > 1:
                yield f"{' and '.join(sorted(kinds))} cannot be compared"


def _circles(fields: Mapping[str, Field]) -> Iterator[str]:
    """Nobody could be asked for the first of them. One of the circles, if there are several."""
    graph = {
        path: {each for each in (*field.follows, *(it.path for it in field.applies_when)) if each in fields}
        for path, field in fields.items()
    }
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        yield f"applies_when and follows go in a circle: {' <- '.join(error.args[1])}"
